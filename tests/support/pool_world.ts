/**
 * Pools whose servers and clock belong to a test.
 *
 * @module
 */
import type { Handler, Peer } from "@qtalk/qtalk";
import { TalkError } from "@qtalk/qtalk";
import { Pool } from "../../talk/pool/pool.ts";
import type { PoolAddresses, PoolOptions } from "../../talk/pool/types.ts";
import type { Harness } from "./harness.ts";
import { turn, until } from "./within.ts";

/** A server at an address, through all its connections. */
export class Server {
  /** The far ends of its connections. */
  readonly peers: Peer[] = [];
  isUp = true;
  readonly calls: string[] = [];
  /** Answers its calls, if it is not the usual handler. */
  answer: ((selector: string) => unknown) | undefined;
  /** Calls of `wait` that it has not answered. */
  readonly pending: PromiseWithResolvers<unknown>[] = [];

  readonly handler: Handler = async (call, respond) => {
    this.calls.push(call.selector);
    const answered = await this.answer?.(call.selector);
    if (answered !== undefined) return await respond.return(answered);
    if (call.selector === "/wait") {
      const pending = Promise.withResolvers<unknown>();
      this.pending.push(pending);
      call.signal.addEventListener("abort", () => pending.resolve(null));
      return await respond.return(await pending.promise);
    }
    if (call.selector === "/stream") {
      const channel = await respond.continue("begun");
      call.signal.addEventListener("abort", () => channel.close());
      return;
    }
    await respond.return(await call.receive());
  };

  /** Loses its connections; the next attempts fail if it stays down. */
  async lose({ stays = false } = {}): Promise<void> {
    this.isUp = stays;
    await Promise.all(this.peers.splice(0).map((peer) => peer.close()));
  }
}

/** A pool whose servers and clock belong to the test. */
export class PoolWorld {
  readonly servers = new Map<string, Server>();
  readonly pool: Pool;
  readonly states: string[] = [];
  readonly errors: unknown[] = [];
  /** Errors that attempts fail with, by address. */
  readonly failures = new Map<string, unknown>();
  time = 0;
  random = 0;
  readonly #waits = new Set<{ at: number; resolve: () => void }>();

  constructor(
    t: Harness,
    addresses: PoolAddresses,
    options: PoolOptions = {},
  ) {
    this.pool = new Pool(
      addresses,
      {
        ...options,
        onState: (member) => {
          this.states.push(`${member.address} ${member.state.name}`);
          options.onState?.(member);
        },
      },
      {
        dial: async (address, handler, signal) => {
          await turn();
          signal.throwIfAborted();
          const failure = this.failures.get(address);
          if (failure !== undefined) throw failure;
          const server = this.server(address);
          if (!server.isUp) {
            throw new TalkError(
              "dial-failed",
              `Cannot dial "${address}": refused`,
            );
          }
          const [near, far] = t.pair({ handler }, { handler: server.handler });
          server.peers.push(far);
          return near;
        },
        report: (error) => this.errors.push(error),
        wait: (ms, signal) =>
          new Promise((resolve) => {
            const wait = { at: this.time + ms, resolve };
            this.#waits.add(wait);
            const end = () => {
              this.#waits.delete(wait);
              resolve();
            };
            signal.addEventListener("abort", end, { once: true });
            if (signal.aborted) end();
          }),
        now: () => this.time,
        random: () => this.random,
      },
    );
    t.defer(() => this.pool.close());
  }

  server(address: string): Server {
    let server = this.servers.get(address);
    if (server === undefined) {
      this.servers.set(address, server = new Server());
    }
    return server;
  }

  /** Lets time pass. */
  pass(ms: number): void {
    this.time += ms;
    for (const wait of [...this.#waits]) {
      if (wait.at > this.time) continue;
      this.#waits.delete(wait);
      wait.resolve();
    }
  }

  /** Waits until something is so. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    await until(isSo, `${what}; ${this.states.join(", ")}`);
  }

  /** Waits until so many members are connected. */
  connected(count: number): Promise<void> {
    return this.until(
      `${count} connected members`,
      () =>
        this.pool.members.filter((one) => one.peer !== undefined).length ===
          count,
    );
  }

  /** How many calls each server has got. */
  get counts(): number[] {
    return [...this.servers.values()].map(({ calls }) => calls.length);
  }
}

export const ABC = ["tcp://a:1", "tcp://b:1", "tcp://c:1"];

/** What waits for the end of a call that never ends by itself. */
export async function ended(
  calls: Promise<unknown>[],
  world: PoolWorld,
): Promise<void> {
  for (const { pending } of world.servers.values()) {
    pending.forEach(({ resolve }) => resolve("done"));
  }
  await Promise.all(calls);
}
