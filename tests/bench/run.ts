/**
 * Runs the processes of a bench, one measure at a time.
 *
 * @module
 */
import {
  type MeasureName,
  measureOf,
  type MeasureOptions,
  type Sample,
  type Transport,
} from "./measures.ts";
import type { CommandLine, Peer } from "./peer.ts";
import { startRelay } from "./relay.ts";
import { firstLine } from "../support/first_line.ts";

/**
 * Where the two processes run. Left to itself, the system puts them on one core
 * or on two as it likes, which changes every figure (LOG.md).
 */
export type Placement = "free" | "one" | "two";

/** A command line that keeps to its core, by Linux's `taskset`. */
function place(
  [program, ...args]: CommandLine,
  placement: Placement,
  role: "server" | "client" | "both",
): CommandLine {
  if (placement === "free") return [program, ...args];
  const own = { server: "0", client: "1", both: "0,1" };
  const cores = placement === "one" ? "0" : own[role];
  return ["taskset", "-c", cores, program, ...args];
}

/** Milliseconds beyond the time to call after which a client has hung. */
const PATIENCE = 120_000;

/** A peer whose servers start when first needed, and serve all rounds. */
export class RunningPeer implements AsyncDisposable {
  readonly peer: Peer;
  readonly #placement: Placement;
  readonly #addresses = new Map<Transport | "relay", string>();
  readonly #serverIds = new Map<Transport, number>();
  readonly #running = new AsyncDisposableStack();

  /** Starts nothing yet. */
  constructor(peer: Peer, placement: Placement) {
    this.peer = peer;
    this.#placement = placement;
  }

  /**
   * Has a client process measure.
   *
   * @throws {Error} if a process fails
   */
  async measure(name: MeasureName, options: MeasureOptions): Promise<Sample> {
    const { transport = "tcp", relay, task } = measureOf(name);
    // Then the client starts what it talks to.
    const alone = transport === "stdio" || transport === "worker" ||
      task === "startup" || task === "parallel";
    const address = alone
      ? transport
      : relay
      ? await this.#relayed()
      : await this.#address(transport);
    const serverId = alone ? undefined : this.#serverIds.get(transport);
    const command = this.peer.client(name, address, { ...options, serverId });
    const role = alone ? "both" : "client";
    const [program, ...args] = place(command, this.#placement, role);
    const { success, code, signal, stdout } = await new Deno.Command(program, {
      args,
      stderr: "inherit",
      signal: AbortSignal.timeout(
        PATIENCE + 1_000 * (options.warmup + options.seconds),
      ),
    }).output();
    if (!success) {
      throw new Error(
        `Cannot measure ${name} of ${this.peer.name}: its client ended with ${
          signal ?? code
        }`,
      );
    }
    const line = new TextDecoder().decode(stdout);
    return this.peer.parse?.(line, name) ?? JSON.parse(line) as Sample;
  }

  /** Ends the servers. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.disposeAsync();
  }

  async #relayed(): Promise<string> {
    const known = this.#addresses.get("relay");
    if (known !== undefined) return known;
    const relay = this.#running.use(startRelay(await this.#address("tcp")));
    this.#addresses.set("relay", relay.address);
    return relay.address;
  }

  async #address(transport: Transport): Promise<string> {
    const known = this.#addresses.get(transport);
    if (known !== undefined) return known;
    const command = this.peer.server!(transport);
    const [program, ...args] = place(command, this.#placement, "server");
    const child = new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: this.peer.chatty ? "null" : "inherit",
    }).spawn();
    this.#running.defer(() => stop(child));
    this.#serverIds.set(transport, child.pid);
    const line = await firstLine(child.stdout);
    const address = /^listening (.+)$/.exec(line)?.[1];
    if (address === undefined) {
      throw new Error(
        `Cannot start server of ${this.peer.name}: it said "${line}"`,
      );
    }
    this.#addresses.set(transport, address);
    return address;
  }
}

async function stop(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
  await child.status;
}
