import type { AbortableTransport, Transport } from "../../../mux/internal.ts";
import { timeLimit } from "../../../time_limit.ts";
import { connect, type ConnectOptions } from "../../dial/dial.ts";
import type { Closable } from "../../listener/types.ts";
import type { End } from "../../observe/events.ts";
import {
  FLUSH_AFTER,
  type SessionTrace,
  type Tracer,
} from "../../observe/session_trace.ts";
import type { CloseOptions } from "../../close_options.ts";
import type { Recorder } from "./recording.ts";

/**
 * Passes bytes from one transport to another, to their end. Each chunk is looked at
 * and written before the next is read, so a slow receiver makes the sender wait.
 *
 * @throws {unknown} the error of either transport
 */
export async function passBytes(
  from: Transport,
  to: Transport,
  look: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  for (;;) {
    const chunk = await from.read();
    if (chunk === null) return;
    await look(chunk);
    await to.write(chunk);
  }
}

/** What taps share. */
export interface TapOptions {
  /** The address that each of them dials. */
  readonly to: string;
  /** How it is dialed. */
  readonly dialing: ConnectOptions;
  readonly tracer: Tracer;
  readonly recorder: Recorder | undefined;
  /** Called with why the address cannot be dialed, or why a connection broke. */
  readonly onError: (error: unknown) => void;
}

/**
 * A connection that is passed on to an address, byte for byte, while both
 * directions are traced. Each chunk is traced, recorded and written before the next
 * is read, so a slow end makes the other one wait.
 */
export class TappedConnection implements Closable {
  readonly closed: Promise<void>;
  readonly #near: Transport;
  readonly #options: TapOptions;
  readonly #gone = new AbortController();
  readonly #left = Promise.withResolvers<void>();
  #far: Transport | undefined;
  #flushing: ReturnType<typeof setTimeout> | undefined;
  #trace: SessionTrace | undefined;
  readonly #readEnded: Record<End, boolean> = { near: false, far: false };

  /** Dials the address. The address of the client is set by {@linkcode begin}. */
  constructor(near: Transport, options: TapOptions) {
    this.#near = near;
    this.#options = options;
    this.closed = this.#left.promise;
    this.closed.catch(() => {});
  }

  /** Begins to pass bytes. */
  begin(address: string): void {
    void this.#run(address).then(this.#left.resolve, this.#left.reject);
  }

  /** Closes both ends, with `drainTimeout` when no channel is open any more. */
  async close({ drainTimeout }: CloseOptions = {}): Promise<void> {
    const trace = this.#trace;
    if (drainTimeout && trace !== undefined && trace.openChannels > 0) {
      const drained = Promise.withResolvers<void>();
      const cancel = timeLimit(drainTimeout, drained.resolve);
      trace.onIdle = drained.resolve;
      await Promise.race([drained.promise, this.closed.catch(() => {})]);
      cancel();
    }
    this.#gone.abort();
    await this.#closeBoth();
    await this.closed.catch(() => {});
  }

  async #run(address: string): Promise<void> {
    const { to, dialing, tracer, recorder, onError } = this.#options;
    const { signal } = this.#gone;
    const trace = this.#trace = tracer.session(address);
    const session = trace.number;
    void recorder?.add({ session, open: address });
    let failure: unknown;
    try {
      const far = this.#far = await connect(to, { ...dialing, signal });
      if (signal.aborted) return;
      await Promise.all([
        this.#pass("near", this.#near, far, trace),
        this.#pass("far", far, this.#near, trace),
      ]);
    } catch (error) {
      if (!signal.aborted) {
        failure = error;
        onError(error);
      }
    } finally {
      await this.#closeBoth();
      clearTimeout(this.#flushing);
      trace.close(failure);
      const error = failure === undefined ? {} : { error: textOf(failure) };
      void recorder?.add({ session, close: true, ...error });
    }
  }

  async #pass(
    by: End,
    from: Transport,
    to: Transport,
    trace: SessionTrace,
  ): Promise<void> {
    const { recorder } = this.#options;
    const session = trace.number;
    try {
      await passBytes(from, to, async (chunk) => {
        trace.push(by, chunk);
        this.#flushLater(trace);
        if (recorder === undefined) return;
        const data = (chunk as Uint8Array<ArrayBuffer>).toBase64();
        await recorder.add({ session, by, data });
      });
    } catch (error) {
      if (this.#gone.signal.aborted) return;
      trace.end(by, error);
      void recorder?.add({ session, by, end: true, error: textOf(error) });
      // The other end has left in the meantime, and takes no more.
      if (!this.#readEnded[by === "near" ? "far" : "near"]) throw error;
      return this.#abortBoth();
    }
    this.#readEnded[by] = true;
    trace.end(by);
    void recorder?.add({ session, by, end: true });
    // Not every transport can end one direction alone.
    await to.closeWrite().catch(() => {});
  }

  /** Shows headers also if nothing follows them. */
  #flushLater(trace: SessionTrace): void {
    if (!trace.hasHeaders || this.#flushing !== undefined) return;
    this.#flushing = setTimeout(() => {
      this.#flushing = undefined;
      trace.flush(0);
    }, FLUSH_AFTER);
  }

  #abortBoth(): void {
    for (const transport of [this.#near, this.#far]) {
      (transport as AbortableTransport | undefined)?.abort?.();
    }
    void this.#closeBoth();
  }

  async #closeBoth(): Promise<void> {
    await Promise.allSettled(
      [this.#near, this.#far].map(async (transport) =>
        await transport?.close()
      ),
    );
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
