/**
 * What a scheme of addresses (`tcp:`, `unix:`, …) implements.
 *
 * @module
 */
import type { Transport } from "../types.ts";

/** A connection that was accepted. */
export interface Accepted {
  /** The connection, owned by the caller of `accept()`. */
  transport: Transport;
  /** The address of the client; empty if there is none. */
  remoteAddr: string;
}

/** Accepts connections at an address. */
export interface TransportListener {
  /** The address to dial. */
  readonly addr: string;
  /** The next connection; `null` once the listener is closed or has no other. */
  accept(): Promise<Accepted | null>;
  /** Stops listening; a pending `accept()` resolves to `null`. */
  close(): void;
}

/** Options of schemes, for dialing. */
export interface SchemeOptions {
  /**
   * Headers of the HTTP request for `ws:` and `wss:`. Browsers cannot send any.
   * Default: in Deno an `Origin` with the server's own origin, which qtalk-go's
   * server requires; in Node and Bun no headers.
   */
  headers?: HeadersInit | undefined;
  /**
   * WebSocket subprotocols to offer, in order of preference. If the server
   * agrees to none of them, Deno connects anyway, while other runtimes fail.
   * Default: none.
   */
  protocols?: string | readonly string[] | undefined;
}

/** Connects and listens. `rest` is the part of the address after `scheme:`. */
export interface Scheme {
  /**
   * Connects. Rejects with the signal's reason when `signal` aborts.
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
