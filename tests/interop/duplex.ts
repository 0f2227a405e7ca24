/**
 * The npm package `@progrium/duplex`, qtalk's successor in JavaScript, as the
 * other end of a peer of ours.
 *
 * @module
 */
import type { Transport } from "../../mux/types.ts";

/** What is used of the package, which types most of it as `any`. */
export interface DuplexModule {
  JSONCodec: new () => DuplexCodec;
  CBORCodec: new () => DuplexCodec;
  open(conn: DuplexConn, codec: DuplexCodec, handlers: object): DuplexPeer;
  HandlerFunc(
    fn: (respond: DuplexResponder, call: DuplexCall) => Promise<void>,
  ): DuplexHandler;
  handlerFrom(target: object): DuplexHandler;
}

/** One of its codecs. */
export interface DuplexCodec {
  encoder(writer: unknown): unknown;
}

/** Whatever answers calls there. */
export interface DuplexHandler {
  respondRPC?: unknown;
}

/** Its peer. */
export interface DuplexPeer {
  call(selector: string, args: unknown): Promise<DuplexResponse>;
  handle(selector: string, handler: DuplexHandler): void;
  /** Ends when the connection does. */
  session: { done: Promise<void> };
}

/** Its channel. */
export interface DuplexChannel {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): Promise<void>;
}

/** What a call resolves to there. */
export interface DuplexResponse {
  value: unknown;
  continue: boolean;
  channel: DuplexChannel;
  send(value: unknown): Promise<void>;
  receive(): Promise<unknown>;
}

/** A call as its handler there sees it. */
export interface DuplexCall {
  caller: { call: DuplexPeer["call"] };
  channel: DuplexChannel;
  receive(): Promise<unknown>;
}

/** How a handler there answers. */
export interface DuplexResponder {
  return(value: unknown): Promise<void>;
  continue(value: unknown): Promise<DuplexChannel>;
  send(value: unknown): Promise<void>;
}

/** The package, or why it is not to be had. */
export type Loaded =
  | { duplex: DuplexModule; missing?: undefined }
  | { duplex?: undefined; missing: string };

/** Loads the package from npm, if that answers. */
export async function loadDuplex(): Promise<Loaded> {
  // Not in the import itself, where the type check would ask npm for it.
  const specifier = "npm:@progrium/duplex@^0.2";
  try {
    return { duplex: await import(specifier) };
  } catch (error) {
    const { message } = error as Error;
    if (!/registry|npm/i.test(message)) throw error;
    return { missing: message.split("\n")[0]! };
  }
}

/** A connection as the package drives it. */
export class DuplexConn {
  readonly #transport: Transport;
  #rest: Uint8Array = new Uint8Array(0);
  #writing: Promise<void> = Promise.resolve();

  /** Drives one end of a pipe. */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Fills all of `into`: its decoder takes less for a broken frame. */
  async read(into: Uint8Array): Promise<number | null> {
    let filled = 0;
    while (filled < into.length) {
      if (this.#rest.length === 0) {
        const chunk = await this.#transport.read();
        if (chunk === null) break;
        this.#rest = chunk.slice();
      }
      const piece = this.#rest.subarray(0, into.length - filled);
      into.set(piece, filled);
      filled += piece.length;
      this.#rest = this.#rest.subarray(piece.length);
    }
    return filled === 0 ? null : filled;
  }

  /** Takes all at once, as its own connections over WebSocket and ports do. */
  write(bytes: Uint8Array): Promise<number> {
    const copy = bytes.slice();
    this.#writing = this.#writing
      .then(() => this.#transport.write(copy))
      .catch(() => {}); // The other end is gone; reading says so.
    return Promise.resolve(copy.length);
  }

  /** Ends both directions. */
  close(): void {
    void this.#transport.close();
  }
}
