/**
 * Accepts WebSockets from HTTP requests.
 *
 * @module
 */
import { Queue } from "../../../queue.ts";
import { checkOption, wrongKind } from "../../../check_option.ts";
import { isPermitted } from "../../../decision.ts";
import { MAX_DELAY, timeLimit } from "../../../time_limit.ts";
import type {
  Accepted,
  HandshakeLimit,
  ListenSchemeOptions,
  TransportListener,
} from "../types.ts";
import { Handshakes } from "../handshakes.ts";
import { REASON_PHRASES } from "./handshake/http_head.ts";
import {
  checkHosts,
  refusalOf,
  type RefusalStatus,
} from "./handshake/request_rules.ts";
import { WebSocketTransport } from "./transport.ts";

/** What a server knows of a request, such as a `Deno.ServeHandlerInfo`. */
export interface RequestInfo {
  /** The address that it came from. */
  readonly remoteAddr: {
    /** How it came: `tcp` or another transport. */
    readonly transport: string;
    /** The IP address, if there is one. */
    readonly hostname?: string | undefined;
    /** The port, if there is one. */
    readonly port?: number | undefined;
    /** The path of a Unix socket, if it has one. */
    readonly path?: string | null | undefined;
  };
}

/**
 * Answers a request, as `Deno.serve()` expects it. (The type is that of a method,
 * so that a handler may declare `info` as `Deno.ServeHandlerInfo`.)
 */
export type RequestHandler = {
  /** Answers a request. */
  handle(request: Request, info?: RequestInfo): Response | Promise<Response>;
}["handle"];

/** Decides about a request: see {@linkcode UpgradeOptions.authenticate}. */
export type RequestDecision = {
  /** Decides about a request. */
  decide(
    request: Request,
    info?: RequestInfo,
  ): boolean | Response | Promise<boolean | Response>;
}["decide"];

/** Which requests become WebSockets, and how the others are answered. */
export interface UpgradeOptions extends ListenSchemeOptions {
  /** The only path that accepts WebSockets, such as `/rpc`. Default: every path. */
  path?: string | undefined;
  /**
   * Called for every request before it becomes a WebSocket: `true` accepts it,
   * `false` refuses it with 401, and a `Response` refuses it with that response. It
   * gets a copy of the request, which stays readable while the peer is connected.
   * Pages cannot set headers here: identify a browser by a cookie, a part of the URL,
   * a subprotocol, or the first call. Default: every request is accepted.
   */
  authenticate?: RequestDecision | undefined;
  /**
   * Subprotocols that the server accepts; it chooses the first one of the client's
   * that is among them. Default: none.
   */
  protocols?: readonly string[] | undefined;
  /**
   * Milliseconds of silence after which a client counts as lost; 0 for never. The
   * server pings it when half of the time has passed. Deno counts in seconds, so
   * the value is rounded up to whole seconds. Default: a second more than the sum
   * of the times of `session.keepAlive`, which is 28,000, and 0 if `keepAlive` is
   * off. Range: 0 to 2^31 - 1.
   */
  idleTimeout?: number | undefined;
  /**
   * Answers all other requests. Default: 404, or 426 on a path that accepts
   * WebSockets.
   */
  fallback?: RequestHandler | undefined;
}

/** A connection, with the request that it started with. */
export interface Upgraded extends Accepted {
  /** The request: the copy that `authenticate` got. */
  request: Request;
}

/** Turns requests into WebSockets and passes them to `accept()`. */
export interface WebSocketAcceptor extends TransportListener {
  /** Answers a request; one that becomes a WebSocket can then be accepted. */
  handle(request: Request, info?: RequestInfo): Promise<Response>;
  accept(): Promise<Upgraded | null>;
}

/** What bounds an acceptor. */
export interface AcceptorLimits {
  /**
   * Sockets that may be open, those included that this side has closed and the
   * client has not. Further requests get 503.
   */
  maxSockets: number;
  /** The time until a socket is open, from the request on. */
  handshake: HandshakeLimit;
}

const NO_LIMITS: AcceptorLimits = {
  maxSockets: Infinity,
  handshake: { timeout: Infinity, onTimeout() {} },
};

/**
 * Makes an acceptor.
 *
 * @param addr the address to dial
 * @param options which requests to accept
 * @param limits how many sockets there may be, and how long they may take
 * @throws {RangeError} if `idleTimeout` is out of range
 * @throws {TypeError} if one of `hosts` is not a name or an address, or `path` is not
 * the path of a URL
 */
export function webSocketAcceptor(
  addr: string,
  options: UpgradeOptions,
  { maxSockets, handshake }: AcceptorLimits = NO_LIMITS,
): WebSocketAcceptor {
  if (options.idleTimeout !== undefined) {
    checkOption("idleTimeout", options.idleTimeout, {
      min: 0,
      max: MAX_DELAY,
    });
  }
  checkHosts(options.hosts);
  checkPath(options.path);
  const waiting = new Queue<Upgraded>();
  let acceptCallback: ((upgraded: Upgraded | null) => void) | undefined;
  let open = true;
  let sockets = 0;
  /** Those of the sockets that are not open yet. */
  const handshakes = new Handshakes();

  function push(upgraded: Upgraded): void {
    if (acceptCallback === undefined) waiting.push(upgraded);
    else acceptCallback(upgraded);
    acceptCallback = undefined;
  }

  async function handle(
    request: Request,
    info?: RequestInfo,
  ): Promise<Response> {
    const status = refusalStatus(request, info, options);
    if (status === 404 || status === 426) {
      const { fallback } = options;
      if (fallback !== undefined) return await fallback(request, info);
      return refusal(status, status === 426 ? { upgrade: "websocket" } : {});
    }
    if (!open) return refusal(503);
    if (status !== undefined) return refusal(status);
    // A request cannot be read any more once it is upgraded.
    const copy = new Request(request.url, { headers: [...request.headers] });
    const remoteAddr = addressOf(info?.remoteAddr);
    const late = Promise.withResolvers<"late">();
    const cancel = timeLimit(handshake.timeout, () => {
      late.resolve("late");
      handshake.onTimeout(remoteAddr);
    });
    let response: Response | undefined;
    try {
      const { authenticate } = options;
      const asking = authenticate ? authenticate(copy, info) : true;
      const allowed = await Promise.race([asking, late.promise]);
      if (allowed instanceof Response) return allowed;
      if (allowed === "late") return refusal(503);
      const expected = "a boolean or a Response";
      if (!isPermitted("authenticate", allowed, expected)) return refusal(401);
      if (!open || sockets >= maxSockets) return refusal(503);
      response = upgrade(request, { remoteAddr, request: copy }, late, cancel);
      return response ?? refusal(400);
    } finally {
      if (response === undefined) cancel();
    }
  }

  function upgrade(
    request: Request,
    connection: { remoteAddr: string; request: Request },
    late: PromiseWithResolvers<"late">,
    cancel: () => void,
  ): Response | undefined {
    const tls = connection.request.url.startsWith("https:")
      // WebSockets are of HTTP/1.1, and the runtime does not say by which name.
      ? { alpnProtocol: null }
      : undefined;
    let upgraded: Deno.WebSocketUpgrade;
    try {
      upgraded = Deno.upgradeWebSocket(
        request,
        denoOptions(request, options),
      );
    } catch {
      return undefined;
    }
    const { socket, response } = upgraded;
    // No event says that the client has left before the socket was open.
    const shaking = handshakes.begin(() => {
      cancel();
      socket.close();
    });
    void late.promise.then(shaking.giveUp);
    socket.addEventListener("open", () => {
      sockets++;
      // A program cannot end the connection of a client that ignores CLOSE.
      socket.addEventListener("close", () => sockets--, { once: true });
      const isAwaited = shaking.finish();
      cancel();
      if (!open || !isAwaited) return socket.close();
      push({ ...connection, transport: new WebSocketTransport(socket), tls });
    }, { once: true });
    return response;
  }

  return {
    addr,
    handle,
    accept() {
      const upgraded = waiting.shift() ?? (open ? undefined : null);
      if (upgraded !== undefined) return Promise.resolve(upgraded);
      return new Promise((resolve) => acceptCallback = resolve);
    },
    close() {
      if (!open) return;
      open = false;
      handshakes.giveUpAll();
      acceptCallback?.(null);
      acceptCallback = undefined;
    },
  };
}

/** Checks the option `path`: one that no URL has would refuse every request. */
function checkPath(path: string | undefined): void {
  if (path === undefined) return;
  if (typeof path !== "string") {
    throw wrongKind('option "path"', path, "a string");
  }
  const base = new URL("ws://localhost/");
  base.pathname = path;
  if (path === base.pathname) return;
  throw new TypeError(
    `Cannot use option "path": the path of a URL is never ${
      JSON.stringify(path)
    }; write ${JSON.stringify(base.pathname)}`,
  );
}

/** The status that refuses a request; undefined if it is welcome. */
function refusalStatus(
  { url, headers }: Request,
  info: RequestInfo | undefined,
  options: UpgradeOptions,
): RefusalStatus | undefined {
  // Deno makes the URL of the header `Host`, which can be anything.
  const { pathname, host } = URL.canParse(url)
    ? new URL(url)
    : { pathname: "", host: "" };
  const from = info?.remoteAddr;
  const remoteHost = from?.hostname ?? "";
  // In HTTP/2, only the URL has it.
  if (!headers.has("host")) {
    headers = new Headers(headers);
    headers.set("host", host);
  }
  return refusalOf({ path: pathname, headers, remoteHost }, options);
}

/** A client's address in the form of {@linkcode Accepted.remoteAddr}. */
function addressOf(from: RequestInfo["remoteAddr"] | undefined): string {
  if (from === undefined) return "";
  const { transport, hostname, port, path } = from;
  if (hostname !== undefined) {
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    return `${transport}://${host}:${port}`;
  }
  return path === undefined ? "" : `unix:${path ?? ""}`;
}

function denoOptions(
  request: Request,
  { protocols = [], idleTimeout }: UpgradeOptions,
): Deno.UpgradeWebSocketOptions {
  const offered = request.headers.get("sec-websocket-protocol") ?? "";
  const protocol = offered.split(/\s*,\s*/).find((p) => protocols.includes(p));
  return {
    ...(protocol !== undefined && { protocol }),
    ...(idleTimeout !== undefined && {
      idleTimeout: Math.ceil(idleTimeout / 1_000),
    }),
  };
}

function refusal(
  status: keyof typeof REASON_PHRASES,
  headers: HeadersInit = {},
): Response {
  return new Response(`${REASON_PHRASES[status]}\n`, { status, headers });
}
