/**
 * What a scheme of addresses (`tcp:`, `unix:`, …) can do.
 *
 * @module
 */
import type { Transport } from "../types.ts";

/** A connection that was accepted. */
export interface Accepted {
  /** The connection, from now on the taker's. */
  transport: Transport;
  /** Who it is, in the form of an address where there is one. */
  remoteAddr: string;
}

/** A place where connections come in. */
export interface TransportListener {
  /** The address to dial. */
  readonly addr: string;
  /** The next connection; `null` once it is closed or there can be no other. */
  accept(): Promise<Accepted | null>;
  /** Accepts no more; a waiting `accept()` gets `null`. */
  close(): void;
}

/** What a program may ask a scheme for beyond the address. */
export interface SchemeOptions {
  /**
   * Headers of the request, of `ws:` and `wss:`. Browsers let nobody choose
   * them. Default: in Deno an `Origin` that is the server's own, which
   * qtalk-go's server asks for; in Node and Bun none.
   */
  headers?: HeadersInit;
  /**
   * WebSocket subprotocols to offer, the best first. Where the server agrees to
   * none of them, Deno connects all the same; other runtimes fail the dial.
   */
  protocols?: string | readonly string[];
}

/** A scheme's way to connections. `rest` is the address behind `scheme:`. */
export interface Scheme {
  /**
   * Connects; gives up, with the signal's reason, when `signal` aborts.
   *
   * @throws {SyntaxError} if the address has the wrong form
   */
  connect(
    rest: string,
    signal: AbortSignal,
    options?: SchemeOptions,
  ): Promise<Transport>;
  /**
   * Listens.
   *
   * @throws {SyntaxError} if the address has the wrong form
   */
  listen(rest: string): TransportListener;
}
