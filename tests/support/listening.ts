/**
 * Listeners whose connections a test makes.
 *
 * @module
 */
import { handlerFrom, Peer, qmux, type Session } from "@qtalk/qtalk";
import { memoryTransports } from "../../mux/transport/memory.ts";
import type { Accepted, TransportListener } from "../../mux/transport/types.ts";
import type { Transport } from "../../mux/types.ts";
import { ConnectionListener } from "../../talk/listener/listener.ts";
import type { ListenerOptions } from "../../talk/listener/types.ts";

export const handler = handlerFrom({ echo: (value: unknown) => value });

/** A source whose connections the test makes. */
export class Source implements TransportListener {
  readonly addr = "test:";
  closed = false;
  readonly #queue: (Accepted | Error | null)[] = [];
  #waiting: PromiseWithResolvers<void> | undefined;

  /** Makes a connection and returns its other end. */
  connect(remoteAddr = "test:client"): Session {
    const [near, far] = memoryTransports();
    this.#push({ transport: near, remoteAddr });
    return qmux(far, { closeTimeout: 1 });
  }

  /** Makes an accept fail. */
  fail(error: Error): void {
    this.#push(error);
  }

  /** Ends the source: there are no further connections. */
  end(): void {
    this.#push(null);
  }

  async accept(): Promise<Accepted | null> {
    while (this.#queue.length === 0) {
      if (this.closed) return null;
      await (this.#waiting = Promise.withResolvers<void>()).promise;
    }
    const next = this.#queue.shift()!;
    if (next instanceof Error) throw next;
    return next;
  }

  close(): void {
    this.closed = true;
    this.#waiting?.resolve();
  }

  #push(next: Accepted | Error | null): void {
    this.#queue.push(next);
    this.#waiting?.resolve();
  }
}

export function listening(options: ListenerOptions = {}) {
  const source = new Source();
  const make = (transport: Transport) => new Peer(qmux(transport), { handler });
  return { source, listener: new ConnectionListener(source, make, options) };
}

/** Calls over a bare session, as a peer. */
export async function calls(session: Session): Promise<unknown> {
  return await new Peer(session).call("echo", ["served"]);
}
