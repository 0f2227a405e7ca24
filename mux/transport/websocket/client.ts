/**
 * A WebSocket client (RFC 6455) over a connection, as a transport.
 *
 * It is used for dialing instead of Deno's `WebSocket`, which sends a message of
 * more than 1,024 bytes in two writes. `TCP_NODELAY` cannot be set there, so the
 * second write waits 44 ms for the peer's delayed ACK: on Deno 2.9.6 that is 23
 * round trips/s with 1,025 bytes and 22,000 with 1,024. `WebSocketStream` does the
 * same and needs a flag. This client sends a message in one write, without delay.
 * As message boundaries have no meaning to qmux, it passes bytes on as they
 * arrive, and no message is too large to receive.
 *
 * @module
 */
import type { Transport } from "../../types.ts";
import {
  CloseCode,
  closingError,
  connectionBroken,
  MAX_MESSAGE,
  webSocketClosed,
} from "./transport.ts";
import { FrameReader, MaskedFrames, Opcode } from "./frames.ts";

/**
 * Makes a transport of a connection after the WebSocket handshake.
 *
 * @param inner the connection, which the transport owns
 * @param early bytes that were read after the handshake
 */
export function webSocketClient(
  inner: Transport,
  early: Uint8Array,
): Transport {
  return new WebSocketClient(inner, early);
}

class WebSocketClient implements Transport {
  readonly #inner: Transport;
  readonly #frames = new MaskedFrames();
  readonly #reader: FrameReader;
  /** Pieces of payload that have arrived and were not read. */
  readonly #pieces: Uint8Array[] = [];
  /** How reading ends after these pieces, once that is known. */
  #end: { failure: unknown } | undefined;
  #state: "open" | "write-closed" | "closed" = "open";
  /** The pending write of a frame. */
  #sending: Promise<void> | undefined;
  /** The payload of the last unanswered PING. */
  #pong: Uint8Array | undefined;

  constructor(inner: Transport, early: Uint8Array) {
    this.#inner = inner;
    this.#reader = new FrameReader({
      onData: (piece) => this.#pieces.push(piece),
      onPing: (payload) => this.#answer(payload),
      onClose: (code, reason) => {
        this.#end = { failure: closingError(code, reason) };
        void this.#sendClose(code === 1005 ? CloseCode.NORMAL : code);
      },
    });
    this.#push(early);
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
    }
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

  close(): void | Promise<void> {
    if (this.#state === "closed") return;
    // CLOSE is sent if that is possible at once; close() does not wait for it.
    void this.#sendClose(CloseCode.NORMAL);
    this.#state = "closed";
    return this.#inner.close();
  }

  async #readMore(): Promise<void> {
    try {
      const chunk = await this.#inner.read();
      if (chunk !== null) this.#push(chunk);
      else this.#end = { failure: connectionBroken("") };
    } catch (failure) {
      this.#end = { failure };
    }
  }

  #push(chunk: Uint8Array): void {
    try {
      this.#reader.push(chunk);
    } catch (failure) {
      // What arrived before the error stays readable.
      this.#end = { failure };
      void this.#sendClose(CloseCode.PROTOCOL_ERROR);
    }
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

  /** Answers a PING; of several unanswered ones, only the last. */
  async #answer(payload: Uint8Array): Promise<void> {
    const answering = this.#pong !== undefined;
    this.#pong = payload;
    if (answering) return;
    while (this.#sending !== undefined) await this.#sending.catch(() => {});
    const pong = this.#pong;
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
}
