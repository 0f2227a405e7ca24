import { QUOTE_SIZE } from "../../wire/frame_decoder.ts";
import type { Transport } from "../../types.ts";
import { HandshakeError } from "../errors.ts";
import type { Bytes } from "./messages.ts";

/** Reads messages of known sizes from a transport, and keeps what follows them. */
export class Incoming {
  readonly transport: Transport;
  #chunk: Uint8Array;

  /** Reads on after `chunk`, which was read before. */
  constructor(transport: Transport, chunk: Uint8Array = new Uint8Array(0)) {
    this.transport = transport;
    this.#chunk = chunk;
  }

  /** What was read and belongs to no message. It is valid until the next read. */
  get rest(): Uint8Array {
    return this.#chunk;
  }

  /**
   * Reads so many bytes.
   *
   * @param ended what the error says if the connection ends first
   * @throws {HandshakeError} if it does
   */
  async exactly(
    size: number,
    ended = "the connection ended during the handshake",
  ): Promise<Bytes> {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size;) {
      if (this.#chunk.length === 0) await this.#more(ended);
      const part = this.#chunk.subarray(0, size - at);
      this.#chunk = this.#chunk.subarray(part.length);
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** The first bytes that were read after a message, for an error. */
  quote(): Bytes {
    return this.#chunk.slice(0, QUOTE_SIZE);
  }

  async #more(ended: string): Promise<void> {
    const chunk = await this.transport.read();
    if (chunk === null) throw new HandshakeError(ended);
    this.#chunk = chunk;
  }
}
