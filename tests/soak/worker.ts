/**
 * A client: acts on a peer that reconnects, several at a time, and visits the
 * server with further connections that end in every way.
 *
 * @module
 */
import {
  type Caller,
  type Codec,
  dial,
  handlerFrom,
  json,
  Peer,
  qmux,
  type ReconnectingPeer,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import type { Random } from "../support/random.ts";
import { within } from "../support/within.ts";
import { ACTS, CHOICES } from "./acts.ts";
import { describe, isInterruption } from "./interruption.ts";

/** Milliseconds within which every act ends, on a machine that is busy. */
const ACT_LIMIT = 60_000;

/** Milliseconds within which a connection that interrupts an act has ended. */
const END_LIMIT = 15_000;

/** Acts that do not work through the gateway, which has one target for all. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  "call back by the handler",
  "callback that is kept",
]);

/** What a visit may speak; the gateway's target speaks the first one only. */
const CODECS: readonly Codec[] = [json(), cbor(), msgpack()];

/** What the server can call. */
const handler = handlerFrom({
  answer: (value: unknown) => ({ answer: value }),
});

/** What happened so far. */
export class Tally {
  readonly counts = { done: 0, interrupted: 0, connections: 0 };
  /** Acts that succeeded, by name. */
  readonly acts: Record<string, number> = {};
  readonly #report: (problem: string) => void;

  /** Reports each problem when it is found. */
  constructor(report: (problem: string) => void) {
    this.#report = report;
  }

  /** Counts an act that succeeded. */
  succeeded(name: string): void {
    this.counts.done++;
    this.acts[name] = (this.acts[name] ?? 0) + 1;
  }

  /** Something is wrong. */
  problem(text: string): void {
    this.#report(text);
  }
}

/** What a worker needs. */
export interface WorkerOptions {
  name: string;
  address: string;
  random: Random;
  tally: Tally;
  signal: AbortSignal;
}

/** Something to call, and what says that its connection has ended. */
interface Line {
  caller: Caller;
  ended: Promise<unknown>;
}

/** Works until it is told to rest. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #visitors = new Set<Peer>();
  #peer: Promise<ReconnectingPeer> | undefined;
  #connection: Peer | undefined;
  /** Resolves when the current connection ends, and is made anew then. */
  #lost = Promise.withResolvers<void>();
  #working: Promise<void> | undefined;
  #resting = false;

  /** Does not start yet. */
  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** Its peers that are connected. */
  get peers(): Peer[] {
    const own = this.#connection;
    return [...this.#visitors, ...own === undefined ? [] : [own]];
  }

  /** Begins, or goes on. */
  start(): void {
    this.#resting = false;
    this.#working ??= this.#work();
  }

  /** Finishes what was begun. */
  async rest(): Promise<void> {
    this.#resting = true;
    await this.#working;
    this.#working = undefined;
    const peer = await this.#dialed();
    await within(peer.connected(), "a connection for the rest");
  }

  async #work(): Promise<void> {
    const { random, tally, name } = this.#options;
    try {
      while (!this.#resting) {
        const draw = random.next();
        if (draw < 0.02) await this.#leave();
        else if (draw < 0.2) await this.#visit(random.fork());
        else await this.#batch(random.fork());
      }
    } catch (error) {
      tally.problem(`worker ${name}: ${describe(error)}`);
      this.#resting = true;
    }
  }

  /** The peer that reconnects. */
  #dialed(): Promise<ReconnectingPeer> {
    const { address, tally } = this.#options;
    return this.#peer ??= dial(address, {
      handler,
      onError: (error) => this.#onError(error),
      reconnect: {
        minDelay: 10,
        maxDelay: 500,
        onState: (state) => {
          if (state.name === "connected") {
            tally.counts.connections++;
            this.#connection = state.peer;
          } else {
            this.#connection = undefined;
            this.#lost.resolve();
            this.#lost = Promise.withResolvers<void>();
          }
        },
      },
    });
  }

  #onError(error: unknown): void {
    if (isInterruption(error)) return;
    this.#options.tally.problem(`onError: ${describe(error)}`);
  }

  /** Several acts at a time. */
  async #batch(random: Random): Promise<void> {
    const peer = await this.#dialed();
    const line = (): Line => ({ caller: peer, ended: this.#lost.promise });
    await Promise.all(
      Array.from(
        { length: random.int(1, 8) },
        () => this.#act(line(), random.fork()),
      ),
    );
  }

  /** Gives the connection up, and makes another one. */
  async #leave(): Promise<void> {
    const peer = await this.#dialed();
    this.#peer = undefined;
    await peer.close();
  }

  async #act({ caller, ended }: Line, random: Random): Promise<void> {
    const { tally, name: worker, signal } = this.#options;
    let name: string;
    do name = random.pick(CHOICES); while (
      worker === "gateway" && NOT_FORWARDED.has(name)
    );
    const { seed } = random;
    try {
      await within(
        ACTS[name]!.run({ caller, random, signal }),
        name,
        ACT_LIMIT,
      );
      tally.succeeded(name);
    } catch (error) {
      if (isInterruption(error)) {
        const gone = await within(ended, "the end", END_LIMIT)
          .then(() => true, () => false);
        if (gone) {
          tally.counts.interrupted++;
          return;
        }
      }
      tally.problem(`${worker}, ${name}, seed ${seed}: ${describe(error)}`);
    }
  }

  /** A further connection, which ends in one of several ways. */
  async #visit(random: Random): Promise<void> {
    const { tally } = this.#options;
    let visitor: { peer: Peer; cut: () => void };
    try {
      visitor = await this.#connect(random);
    } catch (error) {
      // The listener starts again.
      const isExpected = (error as { code?: unknown }).code === "dial-failed" ||
        /refused|reset|No such file|closed/i.test(String(error));
      if (!isExpected) throw error;
      tally.counts.interrupted++;
      return;
    }
    const { peer, cut } = visitor;
    tally.counts.connections++;
    this.#visitors.add(peer);
    const line = { caller: peer, ended: peer.closed.catch(() => {}) };
    const acts = Array.from(
      { length: random.int(0, 6) },
      () => this.#act(line, random.fork()),
    );
    switch (random.int(0, 3)) {
      case 0: // When all is done.
        await Promise.all(acts);
        await peer.close();
        break;
      case 1: // In the middle, without a word.
        await Promise.race(acts.length > 0 ? acts : [undefined]);
        cut();
        break;
      case 2: // In the middle.
        await Promise.race(acts.length > 0 ? acts : [undefined]);
        await peer.close();
        break;
      default: // When what was begun has ended.
        await Promise.race(acts.length > 0 ? acts : [undefined]);
        await peer.close({ drainTimeout: ACT_LIMIT });
    }
    await Promise.all(acts);
    await within(line.ended, "the end of a visit");
    this.#visitors.delete(peer);
  }

  /** Connects, over a socket that can be cut where there is one. */
  async #connect(random: Random): Promise<{ peer: Peer; cut: () => void }> {
    const { address, name } = this.#options;
    const codec = name === "gateway" ? CODECS[0]! : random.pick(CODECS);
    const options = {
      handler,
      codec,
      onError: (error: unknown) => this.#onError(error),
    };
    if (name === "ws" || random.chance(0.5)) {
      const peer = await dial(address, options);
      return { peer, cut: () => void peer.close() };
    }
    const { protocol, hostname, port, pathname } = new URL(address);
    const socket = protocol === "unix:"
      ? await Deno.connect({ transport: "unix", path: pathname })
      : await Deno.connect({ hostname, port: Number(port) });
    const { readable, writable } = socket;
    const cut = () => {
      try {
        socket.close();
      } catch {
        // It was closed when the session ended.
      }
    };
    return { peer: new Peer(qmux({ readable, writable }), options), cut };
  }
}
