/**
 * What a scheme of addresses (`tcp:`, `unix:`, …) implements.
 *
 * @module
 */
import type { Transport } from "../types.ts";

/** A transport that knows a common mistake of programs at its other end. */
export interface AdvisingTransport extends Transport {
  /** What the error says about a peer that sends text in place of frames. */
  readonly advice?: string;
}

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

/** Options of schemes, for listening. */
export interface ListenSchemeOptions {
  /**
   * Origins (`https://example.com`) of the pages that may open a WebSocket,
   * besides the server's own; `"*"` for all. Others get 403. A browser lets every
   * page connect to every server, with that server's cookies, and sends the page's
   * origin. Programs other than browsers need not send an origin, and may always
   * connect. Default: none.
   */
  origins?: readonly string[] | "*" | undefined;
  /**
   * Names (`example.com`) and addresses by which WebSockets reach the server,
   * besides those of loopback, without a port; `"*"` for all. Requests with
   * another `Host` get 403. A page whose name is made to resolve to this machine
   * (DNS rebinding) has the server's own origin, but its name in `Host`. Default:
   * connections over loopback must name loopback, such as `localhost`, unless a
   * proxy forwarded them (`Forwarded`, `X-Forwarded-For`, `X-Forwarded-Host`);
   * other connections may name anything.
   */
  hosts?: readonly string[] | "*" | undefined;
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
   * @throws {TypeError} if one of `hosts` is not a name or an address
   */
  listen(rest: string, options?: ListenSchemeOptions): TransportListener;
}
