/**
 * WebSocket (RFC 6455) over a connection, as a transport: both ends of it.
 *
 * Message boundaries have no meaning to qmux, so bytes are passed on as they
 * arrive, at the pace of their reader: no message is too large to receive, and
 * none is gathered.
 *
 * The client is used for dialing instead of Deno's `WebSocket`, which sends a
 * message of more than 1,024 bytes in two writes. `TCP_NODELAY` cannot be set
 * there, so the second write waits 44 ms for the peer's delayed ACK: on Deno 2.9.6
 * that is 23 round trips/s with 1,025 bytes and 22,000 with 1,024.
 * `WebSocketStream` does the same and needs a flag. This client sends a message in
 * one write, without delay.
 *
 * @module
 */
import { Queue } from "../../../queue.ts";
import { timeLimit } from "../../../time_limit.ts";
import { type Clock, nextTurn } from "../../flow/turns.ts";
import type { Transport } from "../../types.ts";
import type {
  AbortableTransport,
  DividedTransport,
  GatheringTransport,
  KeepAliveMeans,
  KeptTransport,
} from "../types.ts";
import {
  CLOSE_TIMEOUT,
  CloseCode,
  closingError,
  connectionBroken,
  MAX_MESSAGE,
  webSocketClosed,
  webSocketViolation,
} from "./transport.ts";
import { FrameReader, FrameWriter, Opcode } from "./frames.ts";

/**
 * Frames without payload, such as PINGs, that may come within so many
 * milliseconds. They are counted again after each frame with payload.
 */
const MAX_IDLE_FRAMES = { count: 1_000, within: 10_000 } as const;

/**
 * Makes a transport of the client's end of a connection after the handshake.
 *
 * @param inner the connection, which the transport owns
 * @param early bytes that were read after the handshake
 */
export function webSocketClient(
  inner: Transport,
  early: Uint8Array,
): KeptTransport {
  return new WebSocketConnection(inner, early, false);
}

/**
 * Makes a transport of the server's end of a connection after the handshake.
 *
 * @param inner the connection, which the transport owns; what it reads is changed
 * in place
 * @param early bytes that were read after the handshake
 * @param clock measures how fast frames without payload come
 */
export function webSocketServer(
  inner: Transport,
  early: Uint8Array,
  clock?: Clock,
): KeptTransport {
  return new WebSocketConnection(inner, early, true, clock);
}

/** No bytes. */
const NOTHING = new Uint8Array(0);

class WebSocketConnection
  implements AbortableTransport, DividedTransport, KeptTransport {
  readonly keepAlive: KeepAliveMeans;
  readonly #inner: Transport;
  readonly #isServer: boolean;
  readonly #frames: FrameWriter;
  readonly #reader: FrameReader;
  /** Bytes that have arrived and were not decoded. */
  #undecoded: Uint8Array;
  /** Pieces of payload that have arrived and were not read. */
  readonly #pieces = new Queue<Uint8Array>();
  /** How reading ends after these pieces, once that is known. */
  #end: { failure: unknown } | undefined;
  /** Whether the peer sends nothing more: its CLOSE or the end has come. */
  #peerDone = false;
  #state: "open" | "write-closed" | "closed" = "open";
  #closing: Promise<void> | undefined;
  /** The read of the connection that is under way. */
  #reading: Promise<void> | undefined;
  /** The pending write of a frame. */
  #sending: Promise<void> | undefined;
  /** The payload of the last unanswered PING. */
  #pong: Uint8Array | undefined;
  /** Chunks that have arrived, also those without payload. */
  #arrived = 0;
  /** Whether a PING waits to be written. */
  #pinging = false;
  readonly #clock: Clock;
  /** When the frames without payload were last found to be many. */
  #manyIdleAt = -Infinity;

  constructor(
    inner: Transport,
    early: Uint8Array,
    isServer: boolean,
    clock: Clock = () => performance.now(),
  ) {
    this.#inner = inner;
    this.#clock = clock;
    this.#isServer = isServer;
    this.#frames = new FrameWriter(!isServer);
    this.#reader = new FrameReader({
      onData: (piece) => {
        if (this.#state !== "closed") this.#pieces.push(piece);
      },
      onPing: (payload) => {
        const answering = this.#pong !== undefined;
        this.#pong = payload;
        // Of several unanswered PINGs, only the last is answered.
        if (!answering) void this.#answer();
      },
      onClose: (code, reason) => {
        this.#peerDone = true;
        this.#end ??= { failure: closingError(code, reason) };
        void this.#sendClose(code === 1005 ? CloseCode.NORMAL : code);
      },
    }, isServer);
    this.#undecoded = early;
    const arrived = () => this.#arrived;
    const { keepAlive } = inner as Partial<KeptTransport>;
    this.keepAlive = {
      get signs() {
        return arrived() + (keepAlive?.signs ?? 0);
      },
      ping: () => void this.#ping(),
    };
  }

  /** What the connection says about early writes. */
  get earlyWrite(): number | undefined {
    return (this.#inner as Partial<GatheringTransport>).earlyWrite;
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) return piece;
      if (this.#state === "closed") return null;
      if (this.#end !== undefined) {
        if (this.#end.failure === undefined) return null;
        throw this.#end.failure;
      }
      await this.#readMore();
      // Frames without payload are no bytes to their reader, which lets the event
      // loop turn when it has read many.
      if (this.#pieces.length === 0) await nextTurn();
    }
  }

  // Otherwise each message would be a turn of its own, and what answers it another
  // message: calls that were once divided would stay so, at twice the writes.
  more(): Uint8Array | undefined {
    return this.#pieces.shift();
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += MAX_MESSAGE) {
      if (this.#state !== "open") throw webSocketClosed();
      await this.#send(Opcode.BINARY, bytes.subarray(at, at + MAX_MESSAGE));
    }
  }

  closeWrite(): Promise<void> {
    return this.#sendClose(CloseCode.NORMAL);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** Closes the connection, after a CLOSE if that can be sent at once. */
  abort(): void {
    const end = () => void this.#inner.close();
    if (this.#state !== "open" || this.#sending !== undefined) end();
    else void this.#sendClose(CloseCode.NORMAL).then(end);
  }

  async #close(): Promise<void> {
    // CLOSE is sent if that is possible at once.
    const closing = this.#sendClose(CloseCode.NORMAL);
    this.#state = "closed";
    this.#pieces.clear();
    // A client's connection is closed by its server, which waits.
    if (this.#isServer) await this.#linger(closing);
    await this.#inner.close();
  }

  /**
   * Waits for the peer's CLOSE. To close a socket with unread bytes resets it, and
   * the peer could lose what was sent last.
   */
  async #linger(closing: Promise<void>): Promise<void> {
    const cancel = timeLimit(CLOSE_TIMEOUT, () => void this.#inner.close());
    try {
      await closing;
      await this.#sending;
      if (!this.#peerDone) await this.#inner.closeWrite();
      while (!this.#peerDone) {
        await this.#readMore();
        await nextTurn();
      }
    } catch {
      // The connection is gone, so there is nothing to wait for.
    } finally {
      cancel();
    }
  }

  /** Decodes what has arrived, or waits for more. */
  async #readMore(): Promise<void> {
    if (this.#undecoded.length > 0) this.#decode(this.#undecoded);
    else await (this.#reading ??= this.#readChunk());
  }

  async #readChunk(): Promise<void> {
    try {
      const chunk = await this.#inner.read();
      if (chunk === null) return this.#endReading(connectionBroken(""));
      this.#arrived++;
      this.#decode(chunk);
    } catch (failure) {
      this.#endReading(failure);
    } finally {
      this.#reading = undefined;
    }
  }

  #endReading(failure: unknown): void {
    this.#peerDone = true;
    this.#end ??= { failure };
  }

  #decode(chunk: Uint8Array): void {
    this.#undecoded = NOTHING;
    // After a bad frame, the start of the next one is unknown.
    if (this.#end !== undefined) return;
    try {
      this.#undecoded = chunk.subarray(this.#reader.push(chunk));
      if (this.#reader.idleFrames > MAX_IDLE_FRAMES.count) this.#checkIdle();
    } catch (failure) {
      // What arrived before the error stays readable.
      this.#end = { failure };
      void this.#sendClose(CloseCode.PROTOCOL_ERROR);
    }
  }

  #checkIdle(): void {
    const now = this.#clock();
    if (now - this.#manyIdleAt < MAX_IDLE_FRAMES.within) {
      throw webSocketViolation(
        `received ${this.#reader.idleFrames} frames without payload in ${MAX_IDLE_FRAMES.within} ms`,
      );
    }
    this.#manyIdleAt = now;
    this.#reader.idleFrames = 0;
  }

  /** Writes a frame, after the pending one. */
  async #send(opcode: number, payload: Uint8Array): Promise<void> {
    while (this.#sending !== undefined) await this.#sending.catch(() => {});
    const frame = this.#frames.frame(opcode, payload);
    const sending = this.#sending = this.#inner.write(frame);
    try {
      await sending;
    } finally {
      this.#sending = undefined;
    }
  }

  /** Answers the last PING, after the pending write. */
  async #answer(): Promise<void> {
    while (this.#sending !== undefined) await this.#sending.catch(() => {});
    const pong = this.#pong!;
    this.#pong = undefined;
    // If this write fails, so does the next write(), which reports it.
    if (this.#state === "open") {
      await this.#send(Opcode.PONG, pong).catch(() => {});
    }
  }

  async #sendClose(code: number): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "write-closed";
    try {
      await this.#send(Opcode.CLOSE, new Uint8Array([code >> 8, code]));
    } catch {
      // The connection is gone, so CLOSE has no receiver.
    }
  }

  /** Sends PING, after the pending write. If that fails, the next write reports it. */
  async #ping(): Promise<void> {
    if (this.#pinging) return;
    this.#pinging = true;
    while (this.#sending !== undefined) await this.#sending.catch(() => {});
    if (this.#state === "open") {
      await this.#send(Opcode.PING, NOTHING).catch(() => {});
    }
    this.#pinging = false;
  }
}
