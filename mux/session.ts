import { QmuxChannel } from "./channel.ts";
import { ChannelIds } from "./channel_ids.ts";
import { MuxError, protocolError } from "./errors.ts";
import { FrameType } from "./frame.ts";
import { FrameDecoder, type FrameSink } from "./frame_decoder.ts";
import { FrameQueue } from "./frame_queue.ts";
import { Incoming } from "./incoming.ts";
import {
  PACKET_LIMITS,
  resolveOptions,
  type SessionOptions,
} from "./options.ts";
import { RoundTrip } from "./round_trip.ts";
import { duplexTransport } from "./transport/duplex.ts";
import type {
  Channel,
  Duplex,
  MuxSession,
  Transport,
  WaitOptions,
} from "./types.ts";
import { WindowBudget, type WindowPolicy } from "./window.ts";

/** What a session holds at one moment. */
export interface SessionUsage {
  /** Channels that frames can still name: CLOSE has not gone both ways. */
  channels: number;
  /** Channels that count towards `maxChannels`: they may hold memory. */
  places: number;
}

/**
 * An OPEN that nobody has accepted yet. It gets its channel then: before the
 * CONFIRM the peer knows no number of ours, and has none to send frames for.
 */
interface Offered {
  remoteId: number;
  window: number;
  maxPacket: number;
}

/** Who waits for the answer to an OPEN. */
interface Opening {
  resolve(channel: Channel): void;
  reject(reason: unknown): void;
}

/**
 * A qmux session over any pair of byte streams (mux/SPEC.md).
 *
 * Both ends are peers: either opens channels. The session reads from the
 * moment it is made, and its reading waits for nobody: neither for the
 * application to accept a channel or take its bytes, nor for a write.
 *
 * @example Two sessions, one channel
 * ```ts
 * import { Session } from "@qtalk/qtalk/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const up = new TransformStream<Uint8Array, Uint8Array>();
 * const down = new TransformStream<Uint8Array, Uint8Array>();
 * await using a = new Session({
 *   readable: down.readable,
 *   writable: up.writable,
 * });
 * await using b = new Session({
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
 */
export class Session implements MuxSession {
  readonly #transport: Transport;
  readonly #options: Required<SessionOptions>;
  readonly #queue: FrameQueue;
  readonly #decoder: FrameDecoder;
  readonly #windows: WindowPolicy;
  readonly #channels = new Map<number, QmuxChannel>();
  readonly #opening = new Map<number, Opening>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #readerDone = Promise.withResolvers<void>();
  #state: "open" | "closing" | "ended" = "open";
  #closing: Promise<void> | undefined;
  /** What operations on an ended session reject with. */
  #ending: MuxError | undefined;
  #graceTimer: ReturnType<typeof setTimeout> | undefined;

  readonly #ids = new ChannelIds();
  /** Channels that may still hold memory: not yet closed by this side. */
  #openCount = 0;

  readonly #incoming: Incoming<Offered, QmuxChannel>;

  /** Where the payload that is being read belongs; undefined to drop it. */
  #payloadChannel: QmuxChannel | undefined;
  #touched: QmuxChannel[] = [];

  readonly #roundTrip = new RoundTrip(() => performance.now());

  /**
   * Starts a session. It owns `transport` from now on, and ends it.
   *
   * @param transport a pair of byte streams, or a transport of this module
   * @param options limits; each has a finite default
   * @throws {RangeError} if an option is out of range
   */
  constructor(transport: Duplex | Transport, options: SessionOptions = {}) {
    this.#options = resolveOptions(options);
    this.#transport = "readable" in transport
      ? duplexTransport(transport)
      : transport;
    this.#closed.promise.catch(() => {});
    this.#incoming = new Incoming(
      this.#options.backlog,
      (offered, waited) => this.#admit(offered, waited),
    );
    this.#queue = new FrameQueue({
      write: (bytes) => this.#transport.write(bytes),
      onError: (error) => this.#writeFailed(error),
      maxOwedReplies: this.#options.maxOwedReplies,
    });
    this.#windows = {
      initial: this.#options.initialWindow,
      max: this.#options.maxWindow,
      budget: new WindowBudget(this.#options.windowBudget),
      rtt: () => this.#roundTrip.shortest,
      now: () => performance.now(),
    };
    this.#decoder = new FrameDecoder(this.#sink());
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
    const channel = this.#openChannel(resolve, reject);
    if (signal === undefined || channel === undefined) return promise;
    const onAbort = () => {
      // Once it is answered there is nothing to give up.
      if (!this.#opening.delete(channel.id)) return;
      channel.drop();
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return promise.finally(() => signal.removeEventListener("abort", onAbort));
  }

  /**
   * What {@linkcode open} does, by callbacks and without a promise: for layers
   * that open a channel for every message. Exactly one of them is called, and
   * neither may throw.
   */
  openChannel(
    resolve: (channel: Channel) => void,
    reject: (reason: unknown) => void,
  ): void {
    this.#openChannel(resolve, reject);
  }

  /** Returns the channel that is being opened, if it is. */
  #openChannel(
    resolve: (channel: Channel) => void,
    reject: (reason: unknown) => void,
  ): QmuxChannel | undefined {
    if (this.#state !== "open" || !this.#hasPlace()) {
      reject(
        this.#state !== "open" ? this.#refusal() : new MuxError(
          "limit-exceeded",
          `Cannot open channel: ${this.#openCount} are open`,
        ),
      );
      return undefined;
    }
    const channel = this.#newChannel("opening");
    this.#opening.set(channel.id, { resolve, reject });
    this.#queue.frame(
      FrameType.OPEN,
      channel.id,
      this.#options.initialWindow,
      this.#options.maxPacket,
    );
    this.#roundTrip.asked(channel.id);
    return channel;
  }

  /**
   * Gives every incoming channel to `handler`, those that wait included. The
   * handler must not throw; if it does, the channel is closed.
   *
   * @throws {MuxError} `invalid-state` if there is a handler already, or the
   * session is being iterated
   */
  accept(handler: (channel: Channel) => void): void {
    this.#incoming.handle((channel) => {
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
    return this.#incoming.iterate();
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
    return {
      channels: this.#channels.size,
      places: this.#openCount + this.#incoming.waiting,
    };
  }

  /** Whether fewer than half of the places for channels are free. */
  get crowded(): boolean {
    return this.#openCount * 2 >= this.#options.maxChannels;
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

  // --- Channels -------------------------------------------------------------

  #hasPlace(): boolean {
    const { maxChannels } = this.#options;
    const { waiting } = this.#incoming;
    // A peer that never answers our CLOSE must not pile up numbers either.
    return this.#openCount + waiting < maxChannels &&
      this.#channels.size + waiting < 2 * maxChannels;
  }

  #newChannel(state: "opening" | "open"): QmuxChannel {
    const channel = new QmuxChannel(
      this.#ids.take(this.#channels),
      this.#host,
      state,
    );
    this.#channels.set(channel.id, channel);
    this.#openCount++;
    return channel;
  }

  readonly #host = ((session: Session) => ({
    get queue() {
      return session.#queue;
    },
    get windows() {
      return session.#windows;
    },
    probe(channel: QmuxChannel) {
      session.#roundTrip.asked(channel.id);
    },
    vacated(_channel: QmuxChannel) {
      session.#openCount--;
    },
    over(channel: QmuxChannel) {
      session.#roundTrip.forget(channel.id);
      session.#channels.delete(channel.id);
    },
  }))(this);

  #offer(offered: Offered): void {
    const { remoteId, maxPacket } = offered;
    const accepted = this.#state === "open" && this.#hasPlace() &&
      maxPacket >= PACKET_LIMITS.min && maxPacket <= PACKET_LIMITS.max &&
      this.#incoming.offer(offered);
    if (!accepted) this.#queue.reply(FrameType.OPEN_FAILURE, remoteId);
  }

  #admit(
    { remoteId, window, maxPacket }: Offered,
    waited: boolean,
  ): QmuxChannel {
    const channel = this.#newChannel("open");
    const { initialWindow: ours, maxPacket: ourPacket } = this.#options;
    const confirm = [remoteId, channel.id, ours, ourPacket] as const;
    // What waited was bounded by the backlog, and no fault of who takes it now.
    if (waited) this.#queue.frame(FrameType.OPEN_CONFIRM, ...confirm);
    else this.#queue.reply(FrameType.OPEN_CONFIRM, ...confirm);
    this.#roundTrip.asked(channel.id);
    channel.confirmed(remoteId, window, maxPacket);
    return channel;
  }

  // --- Reading --------------------------------------------------------------

  async #read(): Promise<void> {
    try {
      for (;;) {
        const chunk = await this.#transport.read();
        if (chunk === null || this.#state === "ended") break;
        this.#decoder.push(chunk);
        this.#settle();
      }
      if (this.#decoder.atBoundary) this.#end(undefined);
      else this.#end(connectionLost("the byte stream ended inside a frame"));
    } catch (error) {
      // What came before the bad frame is still the readers'.
      this.#settle();
      if (error instanceof MuxError) this.#end(error);
      else if (isReset(error) && this.#decoder.atBoundary) this.#end(undefined);
      else this.#end(connectionLost("reading failed", error));
    } finally {
      this.#readerDone.resolve();
    }
  }

  /** The turn ends: the transport's buffer is about to be used again. */
  #settle(): void {
    // Readers that are told may touch no further channel: only frames do.
    for (const channel of this.#touched) channel.settle();
    this.#touched.length = 0;
  }

  #sink(): FrameSink {
    return {
      onOpen: (remoteId, window, maxPacket) =>
        this.#offer({ remoteId, window, maxPacket }),
      onConfirm: (recipient, sender, window, maxPacket) => {
        const channel = this.#unconfirmed(recipient, "OPEN_CONFIRM");
        if (maxPacket < PACKET_LIMITS.min || maxPacket > PACKET_LIMITS.max) {
          throw protocolError(`a packet size of ${maxPacket} was confirmed`);
        }
        this.#roundTrip.answered(recipient);
        channel.confirmed(sender, window, maxPacket);
        this.#opening.get(recipient)?.resolve(channel);
        this.#opening.delete(recipient);
      },
      onFailure: (recipient) => {
        const channel = this.#unconfirmed(recipient, "OPEN_FAILURE");
        const refused = new MuxError(
          "open-refused",
          "Cannot open channel: the peer refused it",
        );
        this.#roundTrip.answered(recipient);
        channel.lose(refused, true);
        channel.drop();
        this.#opening.get(recipient)?.reject(refused);
        this.#opening.delete(recipient);
      },
      onAdjust: (recipient, bytes) =>
        this.#find(recipient, "WINDOW_ADJUST")?.adjusted(bytes),
      onData: (recipient, length) => {
        const { maxPacket } = this.#options;
        if (length > maxPacket) {
          throw protocolError(
            `DATA of ${length} bytes came for a packet size of ${maxPacket}`,
          );
        }
        const channel = this.#find(recipient, "DATA");
        this.#roundTrip.answered(recipient);
        channel?.announced(length);
        this.#payloadChannel = channel;
      },
      onPayload: (piece) => {
        const channel = this.#payloadChannel;
        if (channel === undefined) return;
        if (!channel.touched) {
          channel.touched = true;
          this.#touched.push(channel);
        }
        channel.arrived(piece);
      },
      onEof: (recipient) => this.#find(recipient, "EOF")?.peerEnded(),
      onClose: (recipient) => this.#find(recipient, "CLOSE")?.peerClosed(),
    };
  }

  /**
   * The channel that a frame is for; undefined if it is closed already, so that
   * the frame is late and can be dropped (protocol of the reference: it may
   * send DATA after its own CLOSE).
   */
  #find(id: number, frame: string): QmuxChannel | undefined {
    const channel = this.#channels.get(id);
    if (channel === undefined && !this.#ids.wasGiven(id)) {
      throw protocolError(`${frame} came for channel ${id}, never opened`);
    }
    return channel;
  }

  #unconfirmed(id: number, frame: string): QmuxChannel {
    const channel = this.#channels.get(id);
    if (channel === undefined || !channel.awaitsConfirm) {
      throw protocolError(`${frame} came for channel ${id}, not being opened`);
    }
    return channel;
  }

  // --- Ending ---------------------------------------------------------------

  #refusal(): MuxError {
    return this.#ending ?? sessionClosed();
  }

  /**
   * A write failed. What the peer sent before it went away may still be on its
   * way in, so reading goes on until it ends by itself, for a while.
   */
  #writeFailed(error: unknown): void {
    if (this.#state === "ended") return;
    const lost = connectionLost("writing failed", error);
    for (const channel of this.#channels.values()) channel.cannotSend(lost);
    this.#graceTimer = setTimeout(
      () => this.#end(lost),
      this.#options.closeTimeout,
    );
  }

  async #shutdown(): Promise<void> {
    // It may have ended by itself; its transport may still be on the way.
    if (this.#state === "ended") return await this.#closeTransport();
    this.#state = "closing";
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#options.closeTimeout);
    });
    await Promise.race([limit, this.#leave()]);
    clearTimeout(timer);
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
    clearTimeout(this.#graceTimer);
    // Whatever happened to it on its way out, it was on its way out.
    const reason = closedHere
      ? sessionClosed()
      : failure ?? connectionLost("the peer ended it");
    this.#ending = reason;
    this.#queue.stop();
    const cleanly = failure === undefined || closedHere;
    for (const channel of [...this.#channels.values()]) {
      channel.lose(reason, cleanly);
    }
    for (const waiting of this.#opening.values()) waiting.reject(reason);
    this.#opening.clear();
    this.#incoming.end();
    if (cleanly) this.#closed.resolve();
    else this.#closed.reject(failure);
    void this.#closeTransport();
  }
}

function sessionClosed(): MuxError {
  return new MuxError("session-closed", "Session is closed");
}

function connectionLost(how: string, cause?: unknown): MuxError {
  return new MuxError(
    "connection-lost",
    `Connection is lost: ${how}`,
    cause === undefined ? undefined : { cause },
  );
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
