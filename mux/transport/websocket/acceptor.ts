/**
 * Accepts WebSockets from HTTP requests.
 *
 * @module
 */
import { checkOption } from "../../../check_option.ts";
import { MAX_DELAY } from "../../../time_limit.ts";
import type { Accepted, TransportListener } from "../types.ts";
import { webSocketTransport } from "./transport.ts";

/** Answers a request, as `Deno.serve()` expects it. */
export type RequestHandler = (
  request: Request,
  info?: Deno.ServeHandlerInfo,
) => Response | Promise<Response>;

/** Which requests become WebSockets, and how the others are answered. */
export interface UpgradeOptions {
  /** The only path that accepts WebSockets. Default: every path. */
  path?: string | undefined;
  /**
   * Origins (`https://example.com`) of the pages that may connect, besides the
   * server's own; `"*"` for all. Others get 403. A browser lets every page
   * connect to every server, with that server's cookies, and sends the page's
   * origin. Programs other than browsers need not send an origin, and may always
   * connect. Default: none.
   */
  origins?: readonly string[] | "*" | undefined;
  /**
   * Decides about every request before it becomes a WebSocket: `false` answers
   * with 401, a `Response` is sent as the answer. It gets a copy of the request,
   * which stays readable while the peer is connected. Pages cannot set headers
   * here: identify a browser by a cookie, a part of the URL, a subprotocol, or the
   * first call. Default: every request is accepted.
   */
  authenticate?:
    | ((
      request: Request,
      info?: Deno.ServeHandlerInfo,
    ) => boolean | Response | Promise<boolean | Response>)
    | undefined;
  /**
   * Subprotocols that the server speaks; it agrees to the first one of the
   * client's that is among them. Default: none.
   */
  protocols?: readonly string[] | undefined;
  /**
   * Milliseconds of silence after which a client counts as lost; 0 for never.
   * The server pings it when half of the time has passed. Deno counts in seconds,
   * so the value is rounded up to whole ones. Default: 30,000. Range: 0 to
   * 2^31 - 1.
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
  handle(request: Request, info?: Deno.ServeHandlerInfo): Promise<Response>;
  accept(): Promise<Upgraded | null>;
}

/**
 * Makes an acceptor.
 *
 * @param addr the address to dial
 * @param options which requests to accept
 * @param onClose closes the server that the requests come from
 * @throws {RangeError} if `idleTimeout` is out of range
 */
export function webSocketAcceptor(
  addr: string,
  options: UpgradeOptions,
  onClose: () => Promise<void> = () => Promise.resolve(),
): WebSocketAcceptor {
  if (options.idleTimeout !== undefined) {
    checkOption("idleTimeout", options.idleTimeout, {
      min: 0,
      max: MAX_DELAY,
    });
  }
  const waiting: Upgraded[] = [];
  let acceptCallback: ((upgraded: Upgraded | null) => void) | undefined;
  let open = true;
  let ended: Promise<void> | undefined;

  function push(upgraded: Upgraded): void {
    if (acceptCallback === undefined) waiting.push(upgraded);
    else acceptCallback(upgraded);
    acceptCallback = undefined;
  }

  async function handle(
    request: Request,
    info?: Deno.ServeHandlerInfo,
  ): Promise<Response> {
    const { path, fallback } = options;
    const onPath = path === undefined || new URL(request.url).pathname === path;
    const protocol = request.headers.get("upgrade")?.toLowerCase();
    if (!onPath || protocol !== "websocket") {
      if (fallback !== undefined) return await fallback(request, info);
      return onPath ? refusal(426, { upgrade: "websocket" }) : refusal(404);
    }
    if (!open) return refusal(503);
    if (!isAllowed(request, options.origins)) return refusal(403);
    // A request cannot be read any more once it is upgraded.
    const copy = new Request(request.url, { headers: [...request.headers] });
    const allowed = await options.authenticate?.(copy, info) ?? true;
    if (allowed instanceof Response) return allowed;
    if (allowed !== true) return refusal(401);
    if (!open) return refusal(503);
    return upgrade(request, copy, info);
  }

  function upgrade(
    request: Request,
    copy: Request,
    info?: Deno.ServeHandlerInfo,
  ): Response {
    // Read before the upgrade, as above.
    const from = info?.remoteAddr;
    let upgraded: Deno.WebSocketUpgrade;
    try {
      upgraded = Deno.upgradeWebSocket(
        request,
        denoOptions(request, options),
      );
    } catch {
      return refusal(400);
    }
    const transport = webSocketTransport(upgraded.socket);
    const remoteAddr = from !== undefined && "hostname" in from
      ? `${from.transport}://${from.hostname}:${from.port}`
      : "";
    push({ transport, remoteAddr, request: copy });
    return upgraded.response;
  }

  return {
    addr,
    handle,
    async accept() {
      const upgraded = waiting.shift();
      if (upgraded !== undefined) return upgraded;
      await ended;
      if (!open) return null;
      return new Promise((resolve) => acceptCallback = resolve);
    },
    close() {
      if (!open) return;
      open = false;
      ended = onClose().catch(() => {});
      ended.then(() => acceptCallback?.(null));
    },
  };
}

/** Whether a request may connect, by the origin of its page, if it has one. */
function isAllowed(
  request: Request,
  origins: UpgradeOptions["origins"] = [],
): boolean {
  const origin = request.headers.get("origin");
  if (origin === null || origins === "*" || origins.includes(origin)) {
    return true;
  }
  // Without the scheme, because a proxy in front of this server may handle TLS.
  return URL.canParse(origin) &&
    new URL(origin).host === new URL(request.url).host;
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

const REASONS = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  426: "Upgrade Required",
  503: "Service Unavailable",
};

function refusal(
  status: keyof typeof REASONS,
  headers: HeadersInit = {},
): Response {
  return new Response(`${REASONS[status]}\n`, { status, headers });
}
