import { checkFunction } from "../../check_option.ts";
import { callHook } from "../../call_hook.ts";
import { json } from "../../codec/internal.ts";
import {
  type AbortableTransport,
  type AccountedTransport,
  type AdvisingTransport,
  type GatheringTransport,
  isSessionTransport,
  type KeptTransport,
  type MemoryAccount,
  type Transport,
  type WatchingTransport,
} from "../../mux/internal.ts";
import type { End, OnEvent } from "./events.ts";
import type { ObserveOptions, Observer } from "./option.ts";
import { type SessionTrace, Tracer } from "./session_trace.ts";

/**
 * Makes an observer, for the option `observer` of `dial()`, `listen()` and others. It
 * can be used for any number of sessions, which it numbers.
 *
 * An error that `onEvent` throws is an uncaught error; the session goes on.
 *
 * @param onEvent called with each event
 * @throws {TypeError} if `onEvent` is not a function
 */
export function observe(onEvent: OnEvent): Observer {
  checkFunction("onEvent", onEvent);
  const tracer = new Tracer({
    codecs: [json({ bigint: true })],
    now: () => performance.now(),
    onEvent(event) {
      callHook(() => onEvent(event));
    },
  });
  return {
    observe(transport, { address = "", codecs }: ObserveOptions = {}) {
      const trace = tracer.session(address, codecs);
      if (!isSessionTransport(transport)) {
        return new ObservedTransport(transport, trace);
      }
      transport.useTap(trace);
      return transport;
    },
  };
}

/** Passes bytes on, and has them traced. */
class ObservedTransport implements AbortableTransport {
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

  /** What the transport says about early writes. */
  get earlyWrite(): number | undefined {
    return (this.#transport as Partial<GatheringTransport>).earlyWrite;
  }

  /** Whether the transport notices a silence itself. */
  get watchesItself(): boolean {
    return (this.#transport as Partial<WatchingTransport>).watchesItself ??
      false;
  }

  /** Counts the memory of the transport as that of its session. */
  useAccount(account: MemoryAccount): void {
    (this.#transport as Partial<AccountedTransport>).useAccount?.(account);
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
