/**
 * WebSockets that come in by HTTP: which requests become one, and who waits
 * for them.
 *
 * @module
 */
import type { Accepted, TransportListener } from "../types.ts";
import { webSocketTransport } from "./transport.ts";

/** Answers requests, as `Deno.serve()` wants it. */
export type RequestHandler = (
  request: Request,
  info?: Deno.ServeHandlerInfo,
) => Response | Promise<Response>;

/** Which requests become WebSockets, and what becomes of the others. */
export interface UpgradeOptions {
  /** The one path to answer on. Default: all. */
  path?: string;
  /**
   * Pages that may connect besides the server's own, by their origin
   * (`https://example.com`); `"*"` for all. A browser lets any page connect to
   * any server, with that server's cookies, and says which page it was.
   * Programs need not say where they are from, and always may connect.
   */
  origins?: readonly string[] | "*";
  /**
   * Asked about every request before it becomes a WebSocket: `false` makes the
   * answer 401, a `Response` is the answer. It sees a copy, which can still be
   * read when the peer is there. Browsers send no headers of a
   * page's choosing: what tells who it is can be a cookie, a part of the URL, a
   * subprotocol, or the first call.
   */
  authenticate?: (
    request: Request,
    info?: Deno.ServeHandlerInfo,
  ) => boolean | Response | Promise<boolean | Response>;
  /** Subprotocols to agree to: the first of the client's that is among them. */
  protocols?: readonly string[];
  /**
   * Seconds of silence after which a client is asked for a sign of life, and
   * then has to give one; 0 for never. Default: Deno's, 30.
   */
  idleTimeout?: number;
  /** Answers all other requests. Default: 404, and 426 on our own path. */
  fallback?: RequestHandler;
}

/** A connection, and the request that it began with. */
export interface Upgraded extends Accepted {
  /** The request: the copy that `authenticate` saw. */
  request: Request;
}

/** Makes WebSockets of requests, and gives them to whoever accepts. */
export interface WebSocketAcceptor extends TransportListener {
  /** Answers a request; one that becomes a WebSocket is accepted then. */
  handle(request: Request, info?: Deno.ServeHandlerInfo): Promise<Response>;
  accept(): Promise<Upgraded | null>;
}

/**
 * Makes an acceptor.
 *
 * @param addr the address to dial
 * @param options which requests to take
 * @param onClose ends what the requests come from
 */
export function webSocketAcceptor(
  addr: string,
  options: UpgradeOptions,
  onClose: () => Promise<void> = () => Promise.resolve(),
): WebSocketAcceptor {
  const waiting: Upgraded[] = [];
  let taker: ((upgraded: Upgraded | null) => void) | undefined;
  let open = true;
  let ended: Promise<void> | undefined;

  function give(upgraded: Upgraded): void {
    if (taker === undefined) waiting.push(upgraded);
    else taker(upgraded);
    taker = undefined;
  }

  async function handle(
    request: Request,
    info?: Deno.ServeHandlerInfo,
  ): Promise<Response> {
    const { path, fallback } = options;
    const ours = path === undefined || new URL(request.url).pathname === path;
    const upgrade = request.headers.get("upgrade")?.toLowerCase();
    if (!ours || upgrade !== "websocket") {
      if (fallback !== undefined) return await fallback(request, info);
      return ours ? refusal(426, { upgrade: "websocket" }) : refusal(404);
    }
    if (!open) return refusal(503);
    if (!isWelcome(request, options.origins)) return refusal(403);
    // Nothing can be asked of a request any more once it was upgraded.
    const kept = new Request(request.url, { headers: [...request.headers] });
    const allowed = await options.authenticate?.(kept, info) ?? true;
    if (allowed instanceof Response) return allowed;
    if (allowed !== true) return refusal(401);
    if (!open) return refusal(503);
    return accepted(request, kept, info);
  }

  function accepted(
    request: Request,
    kept: Request,
    info?: Deno.ServeHandlerInfo,
  ): Response {
    const from = info?.remoteAddr; // As above.
    let upgrade: Deno.WebSocketUpgrade;
    try {
      upgrade = Deno.upgradeWebSocket(
        request,
        upgradeChoices(request, options),
      );
    } catch {
      return refusal(400);
    }
    const transport = webSocketTransport(upgrade.socket);
    const remoteAddr = from !== undefined && "hostname" in from
      ? `${from.transport}://${from.hostname}:${from.port}`
      : "";
    give({ transport, remoteAddr, request: kept });
    return upgrade.response;
  }

  return {
    addr,
    handle,
    async accept() {
      const upgraded = waiting.shift();
      if (upgraded !== undefined) return upgraded;
      await ended;
      if (!open) return null;
      return new Promise((resolve) => taker = resolve);
    },
    close() {
      if (!open) return;
      open = false;
      ended = onClose().catch(() => {});
      ended.then(() => taker?.(null));
    },
  };
}

/** Whether the page that it comes from, if it comes from one, may connect. */
function isWelcome(
  request: Request,
  origins: UpgradeOptions["origins"] = [],
): boolean {
  const origin = request.headers.get("origin");
  if (origin === null || origins === "*" || origins.includes(origin)) {
    return true;
  }
  // Without the scheme: TLS may end in front of this server.
  return URL.canParse(origin) &&
    new URL(origin).host === new URL(request.url).host;
}

function upgradeChoices(
  request: Request,
  { protocols = [], idleTimeout }: UpgradeOptions,
): Deno.UpgradeWebSocketOptions {
  const offered = request.headers.get("sec-websocket-protocol") ?? "";
  const protocol = offered.split(/\s*,\s*/).find((p) => protocols.includes(p));
  return {
    ...(protocol !== undefined && { protocol }),
    ...(idleTimeout !== undefined && { idleTimeout }),
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
