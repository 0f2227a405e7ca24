import { type Codec, json } from "../../codec/internal.ts";
import type {
  AbortableTransport,
  AdvisingTransport,
  KeptTransport,
  Transport,
} from "../../mux/internal.ts";
import type { End, Observer } from "./events.ts";
import { type SessionTrace, Tracer } from "./session_trace.ts";

/** Options of {@linkcode observeTransport}. */
export interface ObserveOptions {
  /** The codecs in which calls are read. Default: `json()`. */
  codecs?: readonly Codec[] | undefined;
  /** The address of the far end, for events. Default: empty. */
  address?: string | undefined;
}

/**
 * Makes a transport that passes everything on to another one, and calls an observer
 * with what its bytes are: for sessions of `qmux()`. `dial()` and `listen()` have an
 * option for it.
 *
 * @example
 * ```ts
 * import { handlerFrom, memoryTransports, Peer, qmux } from "@qtalk/qtalk";
 * import { observeTransport } from "@qtalk/qtalk/observe";
 * import { assertEquals } from "@std/assert";
 *
 * const calls: string[] = [];
 * const [left, right] = memoryTransports();
 * const server = new Peer(qmux(left), { handler: handlerFrom({ hi: () => "there" }) });
 * const observed = observeTransport(right, (event) => {
 *   if (event.type === "call") calls.push(event.call.selector);
 * });
 * await using client = new Peer(qmux(observed));
 * assertEquals(await client.call("hi"), "there");
 * assertEquals(calls, ["hi"]);
 * await server.close();
 * ```
 *
 * @param transport the transport, which belongs to the new one
 * @param observer is called with each event
 * @param options codecs and address
 */
export function observeTransport(
  transport: Transport,
  observer: Observer,
  options: ObserveOptions = {},
): Transport {
  const tracer = tracerFor(observer, options.codecs);
  return new ObservedTransport(
    transport,
    tracer.session(options.address ?? ""),
  );
}

/** A tracer whose observer may fail without harm to the sessions. */
export function tracerFor(
  observer: Observer,
  codecs: readonly Codec[] = [json({ bigint: true })],
): Tracer {
  return new Tracer({
    codecs,
    now: () => performance.now(),
    observer(event) {
      try {
        observer(event);
      } catch (error) {
        // An uncaught error is right, but the session must go on.
        queueMicrotask(() => {
          throw error;
        });
      }
    },
  });
}

/** Passes bytes on, and has them traced. */
export class ObservedTransport implements AbortableTransport {
  readonly #transport: Transport;
  readonly #trace: SessionTrace;
  /** Why the connection was lost. */
  #failure: unknown;

  /** Begins to trace a transport. */
  constructor(transport: Transport, trace: SessionTrace) {
    this.#transport = transport;
    this.#trace = trace;
  }

  /** What the transport says about peers of another protocol. */
  get advice(): string | undefined {
    return (this.#transport as AdvisingTransport).advice;
  }

  /** What the transport does about an end that vanishes. */
  get keepAlive(): KeptTransport["keepAlive"] | undefined {
    return (this.#transport as Partial<KeptTransport>).keepAlive;
  }

  async read(): Promise<Uint8Array | null> {
    let chunk;
    try {
      chunk = await this.#transport.read();
    } catch (error) {
      this.#fail("far", error);
      throw error;
    }
    if (chunk === null) this.#trace.end("far");
    else this.#trace.push("far", chunk);
    return chunk;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#trace.push("near", bytes);
    try {
      await this.#transport.write(bytes);
    } catch (error) {
      this.#fail("near", error);
      throw error;
    }
  }

  async closeWrite(): Promise<void> {
    this.#trace.end("near");
    await this.#transport.closeWrite();
  }

  async close(): Promise<void> {
    this.#trace.close(this.#failure);
    await this.#transport.close();
  }

  abort(): void {
    this.#trace.close(this.#failure);
    (this.#transport as AbortableTransport).abort?.();
  }

  #fail(by: End, error: unknown): void {
    this.#failure ??= error;
    this.#trace.end(by, error);
  }
}
