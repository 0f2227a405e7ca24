import "../../internal.ts"; // Keeps bundles in few chunks.
import { orAborted } from "../../../time_limit.ts";
import type { Transport } from "../../types.ts";
import type { Scheme, SchemeOptions, TransportListener } from "../types.ts";
import { portZero } from "../../errors.ts";
import { loadTransport } from "../load_transport.ts";
import { builtinModule } from "../node/builtin.ts";
import {
  closingError,
  connectionBroken,
  webSocketTransport,
} from "./transport.ts";
import type { HandshakeRequest } from "./handshake/client_handshake.ts";

/**
 * `ws://host:port/path`, or `wss:`. It imports what browsers need to dial, and the
 * rest on first use.
 */
export function webSocketScheme(name: "ws" | "wss"): Scheme {
  return {
    async connect(rest, signal, options = {}) {
      const { headers, protocols = [], tls, onFallback } = options;
      const url = parse(name, rest);
      if (url.port === "0") throw portZero();
      const request = {
        url,
        headers,
        protocols: typeof protocols === "string" ? [protocols] : protocols,
      };
      // Deno's own TLS is faster, and node:tls has all options.
      if ("Deno" in globalThis && tls === undefined) {
        return await dialInDeno(request, signal, onFallback);
      }
      if (!hasSockets()) {
        if (name === "wss" && tls !== undefined) throw tlsWithoutEffect();
        return await dialNative(request, signal);
      }
      const { dialOverSocket } = await loadTransport(
        import("./node_dial.ts"),
        signal,
      );
      return await dialOverSocket(request, signal, tls);
    },
    listen(rest, options = {}, handshake) {
      const url = parse(name, rest);
      if (name === "wss" && options.tls === undefined) {
        throw new SyntaxError(
          'wss: needs a certificate: pass option "tls", or serveWebSocket() to Deno.serve()',
        );
      }
      return listenOnFirstUse(url, options, handshake);
    },
  };
}

/** A program that only dials needs no listener. */
async function listenOnFirstUse(
  ...args: Parameters<typeof import("./listener.ts")["listenOverSockets"]>
): Promise<TransportListener> {
  const { listenOverSockets } = await loadTransport(import("./listener.ts"));
  return await listenOverSockets(...args);
}

/**
 * Dials over a connection of Deno's, or with its own `WebSocket` if the runtime refuses
 * to encrypt one.
 */
async function dialInDeno(
  request: HandshakeRequest,
  signal: AbortSignal,
  onFallback?: (error: unknown) => void,
): Promise<Transport> {
  // Loaded while the connection is made; that it may fail is noticed when it is used.
  const upgrading = import("./upgraded.ts");
  upgrading.catch(() => {});
  const { connectTo, isRefusedByRuntime } = await loadTransport(
    import("./deno_dial.ts"),
    signal,
  );
  let connection: Transport;
  try {
    connection = await connectTo(request.url, signal);
  } catch (error) {
    if (request.url.protocol === "ws:" || !isRefusedByRuntime(error)) {
      throw error;
    }
    onFallback?.(error);
    return await dialNative(request, signal);
  }
  const { upgraded } = await loadTransport(upgrading, signal).catch((error) => {
    void connection.close();
    throw error;
  });
  return await upgraded(connection, request, signal);
}

/** The constructor in Node and Bun, whichever types the program uses. */
type HeadedWebSocket = new (
  url: URL,
  options: { headers: HeadersInit; protocols: string[] },
) => WebSocket;

/** Whether the runtime is Node or Bun; workers of Cloudflare only look so. */
function hasSockets(): boolean {
  const { navigator } = globalThis as { navigator?: { userAgent?: string } };
  return navigator?.userAgent !== "Cloudflare-Workers" &&
    builtinModule("node:net") !== undefined;
}

/** To ignore `tls.pin`, for example, would trust servers that it does not list. */
function tlsWithoutEffect(): TypeError {
  return new TypeError(
    'option "tls" has no effect on a WebSocket of this runtime, which decides itself what it trusts',
  );
}

/** Dials with the runtime's own `WebSocket`: in browsers. */
export async function dialNative(
  { url, headers, protocols = [] }: HandshakeRequest,
  signal: AbortSignal,
): Promise<Transport> {
  if (headers !== undefined && !("process" in globalThis)) {
    throw new TypeError("a WebSocket of a browser cannot send headers");
  }
  const socket = headers === undefined
    ? new WebSocket(url, [...protocols])
    : await withHeaders(url, headers, protocols, signal);
  const transport = webSocketTransport(socket);
  const opened = Promise.withResolvers<void>();
  socket.addEventListener("open", () => opened.resolve());
  socket.addEventListener("close", ({ code, reason }) => {
    const error = [0, 1006].includes(code)
      ? notOpened(reason)
      : closingError(code, reason);
    opened.reject(error ?? connectionBroken(reason));
  });
  // Usually a close event with more details follows, but not in Node.
  socket.addEventListener("error", (event) => {
    const { message = "" } = event as Partial<ErrorEvent>;
    if (socket.readyState === 0) opened.reject(notOpened(message));
  });
  try {
    await orAborted(opened.promise, signal);
    return transport;
  } catch (error) {
    void transport.close();
    throw error;
  }
}

/** Browsers do not tell a page which of the reasons it is. */
function notOpened(why: string): Error {
  return new Error(
    "the WebSocket was not opened: the server cannot be reached, or has refused it" +
      `, perhaps because of the origin of the page (option "origins")${
        why && `: ${why}`
      }`,
  );
}

/** Node and Bun accept headers and protocols instead of the protocols. */
async function withHeaders(
  url: URL,
  headers: NonNullable<SchemeOptions["headers"]>,
  protocols: readonly string[],
  signal: AbortSignal,
): Promise<WebSocket> {
  const { checkedHeaders } = await loadTransport(
    import("./handshake/client_handshake.ts"),
    signal,
  );
  return new (WebSocket as unknown as HeadedWebSocket)(url, {
    headers: checkedHeaders(headers),
    protocols: [...protocols],
  });
}

function parse(name: string, rest: string): URL {
  const url = URL.canParse(`${name}:${rest}`)
    ? new URL(`${name}:${rest}`)
    : null;
  if (url === null || !rest.startsWith("//") || url.username || url.password) {
    throw new SyntaxError(`expected ${name}://host[:port]/path`);
  }
  url.hash = "";
  return url;
}
