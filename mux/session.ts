import { ChannelTable } from "./table/channel_table.ts";
import { connectionLost, MuxError, sessionClosed } from "./errors.ts";
import { FrameDecoder } from "./wire/frame_decoder.ts";
import { FrameQueue } from "./wire/frame_queue.ts";
import { resolveOptions, type SessionOptions } from "./options.ts";
import { timeLimit } from "../time_limit.ts";
import { duplexTransport } from "./transport/duplex.ts";
import type { RawChannel, RawSession } from "./raw.ts";
import type {
  Channel,
  Duplex,
  Session,
  SessionUsage,
  Transport,
  WaitOptions,
} from "./types.ts";

/**
 * Starts a qmux session over any pair of byte streams (mux/SPEC.md).
 *
 * Both ends are peers: either opens channels. The session reads from the
 * moment it is made, and its reading waits for nobody: neither for the
 * application to accept a channel or take its bytes, nor for a write.
 *
 * @example Two sessions, one channel
 * ```ts
 * import { qmux } from "@qtalk/qtalk/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const up = new TransformStream<Uint8Array, Uint8Array>();
 * const down = new TransformStream<Uint8Array, Uint8Array>();
 * await using a = qmux({
 *   readable: down.readable,
 *   writable: up.writable,
 * });
 * await using b = qmux({
 *   readable: up.readable,
 *   writable: down.writable,
 * });
 *
 * // One end echoes what it gets,
 * b.accept((channel) => channel.readable.pipeTo(channel.writable));
 *
 * // the other sends "hi" and reads it back.
 * const { readable, writable } = await a.open();
 * const writer = writable.getWriter();
 * await writer.write(new TextEncoder().encode("hi"));
 * await writer.close();
 * assertEquals(await new Response(readable).text(), "hi");
 * ```
 *
 * @param transport a pair of byte streams, or a transport of this module; the
 * session owns it from now on, and ends it
 * @param options limits; each has a finite default
 * @throws {RangeError} if an option is out of range
 */
export function qmux(
  transport: Duplex | Transport,
  options: SessionOptions = {},
): Session {
  return new QmuxSession(transport, options);
}

/** A qmux session; {@linkcode qmux} makes it. */
export class QmuxSession implements RawSession {
  readonly #transport: Transport;
  readonly #closeTimeout: number;
  readonly #queue: FrameQueue;
  readonly #channels: ChannelTable;
  readonly #decoder: FrameDecoder;
  readonly #closed = Promise.withResolvers<void>();
  readonly #readerDone = Promise.withResolvers<void>();
  #state: "open" | "closing" | "ended" = "open";
  #closing: Promise<void> | undefined;
  #endGrace: (() => void) | undefined;

  /**
   * Starts a session. It owns `transport` from now on, and ends it.
   *
   * @param transport a pair of byte streams, or a transport of this module
   * @param options limits; each has a finite default
   * @throws {RangeError} if an option is out of range
   */
  constructor(transport: Duplex | Transport, options: SessionOptions = {}) {
    const resolved = resolveOptions(options);
    this.#closeTimeout = resolved.closeTimeout;
    this.#transport = "readable" in transport
      ? duplexTransport(transport)
      : transport;
    this.#closed.promise.catch(() => {});
    this.#queue = new FrameQueue({
      write: (bytes) => {
        this.#channels.tick();
        return this.#transport.write(bytes);
      },
      onError: (error) => this.#writeFailed(error),
      maxQueuedReplySize: resolved.maxQueuedReplySize,
    });
    this.#channels = new ChannelTable(this.#queue, resolved);
    this.#decoder = new FrameDecoder(this.#channels);
    void this.#read();
  }

  /**
   * Opens a channel; resolves when the peer has accepted it.
   *
   * @throws {MuxError} `open-refused` if the peer refused it, `limit-exceeded`
   * if `maxChannels` are open, `session-closed` or `connection-lost` if the
   * session has ended
   * @throws {unknown} `signal.reason`; the channel is then closed as soon as
   * the peer confirms it
   */
  open(options: WaitOptions = {}): Promise<Channel> {
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<Channel>();
    const channel = this.#channels.open(resolve, reject);
    if (signal === undefined || channel === undefined) return promise;
    const onAbort = () => {
      // Once it is answered there is nothing to give up.
      if (this.#channels.abandon(channel)) reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return promise.finally(() => signal.removeEventListener("abort", onAbort));
  }

  /**
   * What {@linkcode open} does, by callbacks and without a promise: for layers
   * that open a channel for every message. Exactly one of them is called, and
   * neither may throw.
   */
  openRaw(
    resolve: (channel: RawChannel) => void,
    reject: (reason: unknown) => void,
  ): void {
    this.#channels.open(resolve, reject);
  }

  /**
   * Gives every incoming channel to `handler`, those that wait included. The
   * handler must not throw; if it does, the channel is closed.
   *
   * @throws {MuxError} `invalid-state` if there is a handler already, or the
   * session is being iterated
   */
  accept(handler: (channel: Channel) => void): void {
    this.#channels.incoming.handle((channel) => {
      try {
        handler(channel);
      } catch (error) {
        channel.abort(error);
      }
    });
  }

  /**
   * Iterates the incoming channels; ends when the session does, however it
   * does. Leaving the loop leaves the session as it is.
   *
   * @throws {MuxError} `invalid-state` if {@linkcode accept} was called
   */
  [Symbol.asyncIterator](): AsyncIterator<Channel, undefined> {
    return this.#channels.incoming.iterate();
  }

  /**
   * Resolves when the session has ended cleanly: closed by this side, or by the
   * peer between two frames. Rejects with a {@linkcode MuxError} otherwise.
   * Never an unhandled rejection.
   */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** What the session holds now: for logs and metrics, and for tests. */
  get usage(): SessionUsage {
    return this.#channels.usage;
  }

  /**
   * Resolves when the next channel gives back its place: for layers that wait
   * until their channels are done. Never, once the session has ended.
   */
  whenSlotFreed(): Promise<void> {
    return this.#channels.whenSlotFreed();
  }

  /** Whether it has ended or is ending: nothing can be opened any more. */
  get ended(): boolean {
    return this.#state !== "open";
  }

  /** Whether fewer than half of the places for channels are free. */
  get crowded(): boolean {
    return this.#channels.crowded;
  }

  /**
   * Ends the session: what is queued leaves, for at most `closeTimeout`, then
   * the transport is closed. What still waits rejects with `session-closed`.
   * Idempotent; never rejects.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#shutdown();
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const chunk = await this.#transport.read();
        if (chunk === null || this.#state === "ended") break;
        this.#channels.tick();
        this.#decoder.push(chunk);
        this.#channels.endTurn();
        // To ask for more bytes takes time, and the answer is ready to go: it
        // goes first. That waits for microtasks only, not for the write.
        const { turn } = this.#queue;
        if (turn !== undefined) await turn;
      }
      if (this.#decoder.atBoundary) this.#end(undefined);
      else this.#end(connectionLost("the byte stream ended inside a frame"));
    } catch (error) {
      // What came before the bad frame is still the readers'.
      this.#channels.endTurn();
      if (error instanceof MuxError) this.#end(error);
      else if (isReset(error) && this.#decoder.atBoundary) this.#end(undefined);
      else this.#end(connectionLost("reading failed", error));
    } finally {
      this.#readerDone.resolve();
    }
  }

  /**
   * A write failed. What the peer sent before it went away may still be on its
   * way in, so reading goes on until it ends by itself, for a while.
   */
  #writeFailed(error: unknown): void {
    if (this.#state === "ended") return;
    const lost = connectionLost("writing failed", error);
    this.#channels.onWriteFailed(lost);
    this.#endGrace = timeLimit(this.#closeTimeout, () => this.#end(lost));
  }

  async #shutdown(): Promise<void> {
    // It may have ended by itself; its transport may still be on the way.
    if (this.#state === "ended") return await this.#closeTransport();
    this.#state = "closing";
    this.#channels.close(sessionClosed());
    const late = Promise.withResolvers<void>();
    const inTime = timeLimit(this.#closeTimeout, late.resolve);
    await Promise.race([late.promise, this.#leave()]);
    inTime();
    this.#end(undefined);
    await this.#closeTransport();
  }

  /** Whatever is wrong with closing it, nobody can do anything about it. */
  async #closeTransport(): Promise<void> {
    try {
      await this.#transport.close();
    } catch {
      // It is gone either way.
    }
  }

  /**
   * Sends what is queued, ends our side of the byte stream and waits for the
   * peer to end its own: closing a socket with bytes unread would reset it, and
   * what we sent last could be lost on its way to the application there.
   */
  async #leave(): Promise<void> {
    await this.#queue.idle();
    this.#queue.stop();
    try {
      await this.#transport.closeWrite();
    } catch {
      return; // The other end is gone already: nothing to wait for.
    }
    await this.#readerDone.promise;
  }

  #end(failure: MuxError | undefined): void {
    if (this.#state === "ended") return;
    const closedHere = this.#state === "closing";
    this.#state = "ended";
    this.#endGrace?.();
    // Whatever happened to it on its way out, it was on its way out.
    const reason = closedHere
      ? sessionClosed()
      : failure ?? connectionLost("the peer ended it");
    this.#queue.stop();
    const cleanly = failure === undefined || closedHere;
    this.#channels.end(reason, cleanly);
    if (cleanly) this.#closed.resolve();
    else this.#closed.reject(failure);
    void this.#closeTransport();
  }
}

/**
 * Whether the other end reset the connection, which it does by closing it with
 * bytes unread: between two frames that is as good an end as any.
 */
function isReset(error: unknown): boolean {
  return error instanceof Error &&
    (error.name === "ConnectionReset" ||
      (error as { code?: unknown }).code === "ECONNRESET");
}
