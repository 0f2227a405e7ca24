/**
 * A WebSocket client on a connection of its own (RFC 6455), as a transport.
 *
 * Deno's `WebSocket` is not used for dialing: every message of more than 1,024
 * bytes leaves it as two writes, and since it gives no way to set
 * `TCP_NODELAY`, the second waits 44 ms for the other end's delayed ACK:
 * measured on Deno 2.9.6, 23 round trips/s at 1,025 bytes and 22,000 at 1,024.
 * `WebSocketStream` does the same and needs a flag. Here a message is one
 * write, on a connection that sends at once. And since borders of messages
 * mean nothing to qmux, bytes go on as they come: no message is too large.
 *
 * @module
 */
import type { Transport } from "../../types.ts";
import {
  brokenOff,
  CloseCode,
  closedHere,
  closingError,
  MAX_MESSAGE,
} from "./transport.ts";
import { FrameReader, MaskedFrames, Opcode } from "./frames.ts";

/**
 * Drives the client's end of a WebSocket over a connection.
 *
 * @param inner the connection, after the handshake; owned from now on
 * @param early what was read from it behind the handshake
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
  /** Pieces of what was read last, which nobody has taken. */
  readonly #pieces: Uint8Array[] = [];
  /** What comes behind them, if nothing more is to be read. */
  #end: { failure: unknown } | undefined;
  #state: "open" | "write-closed" | "closed" = "open";
  /** The frame that is being written. */
  #sending: Promise<void> | undefined;
  /** What the last PING said that has no answer yet. */
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
      if (this.#state !== "open") throw closedHere();
      await this.#send(Opcode.BINARY, bytes.subarray(at, at + MAX_MESSAGE));
    }
  }

  closeWrite(): Promise<void> {
    return this.#sendClose(CloseCode.NORMAL);
  }

  close(): void | Promise<void> {
    if (this.#state === "closed") return;
    // Leaves at once if it can; if it cannot, nobody waits for it.
    void this.#sendClose(CloseCode.NORMAL);
    this.#state = "closed";
    return this.#inner.close();
  }

  async #readMore(): Promise<void> {
    try {
      const chunk = await this.#inner.read();
      if (chunk !== null) this.#push(chunk);
      else this.#end = { failure: brokenOff("") };
    } catch (failure) {
      this.#end = { failure };
    }
  }

  #push(chunk: Uint8Array): void {
    try {
      this.#reader.push(chunk);
    } catch (failure) {
      // What came before it is still good.
      this.#end = { failure };
      void this.#sendClose(CloseCode.PROTOCOL_ERROR);
    }
  }

  /** Writes a frame, behind the one that is being written. */
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

  /** Of many PINGs that wait for their answer only the last gets one. */
  async #answer(payload: Uint8Array): Promise<void> {
    const waits = this.#pong !== undefined;
    this.#pong = payload;
    if (waits) return;
    while (this.#sending !== undefined) await this.#sending.catch(() => {});
    const pong = this.#pong;
    this.#pong = undefined;
    // If it cannot be written, neither can the next bytes, and that will tell.
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
      // The connection is gone, and with it whom to tell.
    }
  }
}
