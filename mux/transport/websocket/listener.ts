import { Queue } from "../../../queue.ts";
import { timeLimit } from "../../../time_limit.ts";
import type { Accepted, TransportListener } from "../types.ts";
import { webSocketServer } from "./connection.ts";
import type { RequestRules } from "./request_rules.ts";
import { acceptHandshake } from "./server_handshake.ts";

/** Milliseconds that a client has to send its request and read the answer. */
export const HANDSHAKE_TIMEOUT = 10_000;
/**
 * Connections that may be in their handshake. Beyond that, the oldest of them is
 * closed: it had the longest time.
 */
export const MAX_HANDSHAKES = 1_024;

/** A connection that can be accepted, or an error of accepting. */
type Outcome = { accepted: Accepted } | { error: unknown; taken: () => void };

/**
 * Makes a listener that speaks WebSocket (RFC 6455) on the connections of another
 * one. Neither requests nor messages can make it hold more than their share: the
 * size and the time of a request are limited, and payload is passed on as it
 * arrives, at the pace of its reader.
 *
 * It replaces `Deno.upgradeWebSocket()`, which gathers the fragments of a message
 * without a limit: 2 GiB in 1.7 s.
 *
 * @param source accepts the connections
 * @param addr the address to dial
 * @param rules which requests are welcome
 */
export function webSocketListener(
  source: TransportListener,
  addr: string,
  rules: RequestRules,
): TransportListener {
  return new WebSocketListener(source, addr, rules);
}

class WebSocketListener implements TransportListener {
  readonly addr: string;
  readonly #source: TransportListener;
  readonly #rules: RequestRules;
  /** Connections in their handshake, in the order in which they came. */
  readonly #shaking = new Set<Accepted>();
  readonly #outcomes = new Queue<Outcome>();
  #waiting: PromiseWithResolvers<Accepted | null> | undefined;
  #ended = false;

  constructor(source: TransportListener, addr: string, rules: RequestRules) {
    this.addr = addr;
    this.#source = source;
    this.#rules = rules;
    void this.#run();
  }

  accept(): Promise<Accepted | null> {
    const outcome = this.#outcomes.shift();
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    if (outcome !== undefined) this.#settle(outcome);
    else if (this.#ended) this.#settleEnd();
    return promise;
  }

  close(): void {
    this.#source.close();
    for (const { transport } of this.#shaking) void transport.close();
    this.#shaking.clear();
  }

  async #run(): Promise<void> {
    for (;;) {
      try {
        const accepted = await this.#source.accept();
        if (accepted === null) break;
        void this.#shake(accepted);
      } catch (error) {
        // The caller decides when to try again.
        await new Promise<void>((taken) => this.#push({ error, taken }));
      }
    }
    this.#ended = true;
    this.#settleEnd();
  }

  async #shake(accepted: Accepted): Promise<void> {
    const { transport, remoteAddr } = accepted;
    this.#shaking.add(accepted);
    const [oldest] = this.#shaking;
    if (this.#shaking.size > MAX_HANDSHAKES) this.#giveUp(oldest!);
    const cancel = timeLimit(HANDSHAKE_TIMEOUT, () => this.#giveUp(accepted));
    let request: Request | undefined;
    try {
      const early = await acceptHandshake(transport, {
        remoteHost: hostOf(remoteAddr),
        rules: this.#rules,
        onRequest: (welcome) => request = welcome,
      });
      if (early !== undefined && this.#shaking.has(accepted)) {
        const server = webSocketServer(transport, early);
        const accepted = { transport: server, remoteAddr, request };
        return this.#push({ accepted });
      }
    } catch {
      // The connection has failed, so an answer would not arrive.
    } finally {
      cancel();
      this.#shaking.delete(accepted);
    }
    void transport.close();
  }

  #giveUp(accepted: Accepted): void {
    this.#shaking.delete(accepted);
    void accepted.transport.close();
  }

  #push(outcome: Outcome): void {
    if (this.#waiting === undefined) this.#outcomes.push(outcome);
    else this.#settle(outcome);
  }

  #settle(outcome: Outcome): void {
    if ("accepted" in outcome) this.#waiting?.resolve(outcome.accepted);
    else {
      this.#waiting?.reject(outcome.error);
      outcome.taken();
    }
    this.#waiting = undefined;
  }

  #settleEnd(): void {
    this.#waiting?.resolve(null);
    this.#waiting = undefined;
  }
}

/** The host of an address such as `tcp://[::1]:80`, without brackets. */
function hostOf(addr: string): string {
  return /^\w+:\/\/\[?(.*?)\]?:\d+$/.exec(addr)?.[1] ?? "";
}
