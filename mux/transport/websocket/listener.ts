import "../../internal.ts"; // Keeps bundles in few chunks.
import { timeLimit } from "../../../time_limit.ts";
import { hostPort } from "../address_forms.ts";
import { Handshakes } from "../handshakes.ts";
import { loadTransport } from "../load_transport.ts";
import { PendingAccepts } from "../pending_accepts.ts";
import type {
  Accepted,
  HandshakeLimit,
  Scheme,
  SchemeListenTerms,
  TransportListener,
} from "../types.ts";
import { webSocketServer } from "./connection.ts";
import {
  defaultPort,
  HTTP,
  unbracketed,
} from "./handshake/client_handshake.ts";
import { checkHosts, type RequestRules } from "./handshake/request_rules.ts";
import { acceptHandshake } from "./handshake/server_handshake.ts";

/** The time to send a request and read the answer, unless a program says. */
const HANDSHAKE: HandshakeLimit = { timeout: 30_000, onTimeout() {} };

/**
 * Accepts WebSockets at one path, and answers 404 at others.
 *
 * @throws {TypeError} if a host of `options` is none
 */
export async function listenOverSockets(
  url: URL,
  { origins, hosts, tls, tlsRenewal, reusePort }: SchemeListenTerms,
  handshake?: HandshakeLimit,
): Promise<TransportListener> {
  checkHosts(hosts);
  const hostname = unbracketed(url.hostname);
  const place = { hostname, port: Number(url.port || defaultPort(url)) };
  const source = url.protocol === "wss:"
    ? await listenWithTls(
      { ...place, reusePort },
      { tls, tlsRenewal },
      handshake,
    )
    : await (await loadTcp()).listen(hostPort("tcp", place).slice(4), {
      reusePort,
    });
  url.port = new URL(source.addr.replace(/^\w+/, "ws")).port;
  const rules = { path: url.pathname, origins, hosts };
  return webSocketListener(source, url.href, rules, handshake);
}

async function listenWithTls(
  { hostname: host, ...place }: {
    hostname: string;
    port: number;
    reusePort: boolean | undefined;
  },
  { tls, tlsRenewal }: Pick<SchemeListenTerms, "tls" | "tlsRenewal">,
  handshake: HandshakeLimit | undefined,
): Promise<TransportListener> {
  const { listenTls } = await loadTransport(import("../node/tls/listen.ts"));
  return await listenTls(
    { host, ...place },
    "tcp",
    HTTP,
    tls,
    handshake,
    tlsRenewal,
  );
}

async function loadTcp(): Promise<Scheme> {
  return "Deno" in globalThis
    ? (await loadTransport(import("../deno/conn.ts"))).tcp
    : (await loadTransport(import("../node/sockets.ts"))).nodeTcp;
}

/**
 * Makes a listener that speaks WebSocket (RFC 6455) on the connections of another
 * one. Neither requests nor messages can make it hold more than their share: the
 * size and the time of a request are limited, and payload is passed on as it
 * arrives, at the pace of its reader.
 *
 * It replaces `Deno.upgradeWebSocket()`, which gathers the fragments of a message
 * without a limit: 2 GiB in 1.7 s.
 *
 * @param source accepts the connections
 * @param addr the address to dial
 * @param rules which requests are welcome
 * @param handshake limits the time of a request
 */
export function webSocketListener(
  source: TransportListener,
  addr: string,
  rules: RequestRules,
  handshake: HandshakeLimit = HANDSHAKE,
): TransportListener {
  return new WebSocketListener(source, addr, rules, handshake);
}

class WebSocketListener implements TransportListener {
  readonly addr: string;
  readonly #source: TransportListener;
  readonly #rules: RequestRules;
  readonly #handshake: HandshakeLimit;
  readonly #handshakes = new Handshakes();
  readonly #pending = new PendingAccepts();
  /** Continues after an error that the caller of `accept()` has got. */
  #goOn: (() => void) | undefined;
  #closed = false;
  #ended = false;

  constructor(
    source: TransportListener,
    addr: string,
    rules: RequestRules,
    handshake: HandshakeLimit,
  ) {
    this.addr = addr;
    this.#source = source;
    this.#rules = rules;
    this.#handshake = handshake;
    void this.#run();
  }

  accept(): Promise<Accepted | null> {
    const pending = this.#pending;
    if (!pending.isEmpty) return pending.next();
    // The error before was the answer to another call: it is over for the caller.
    this.#goOn?.();
    return this.#ended ? Promise.resolve(null) : pending.next();
  }

  close(): void {
    this.#closed = true;
    this.#source.close();
    this.#goOn?.();
    this.#handshakes.giveUpAll();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        const accepted = await this.#source.accept();
        if (accepted === null) break;
        void this.#shake(accepted);
      } catch (error) {
        // The caller decides when to try again: by its next call of accept().
        const again = new Promise<void>((resolve) => this.#goOn = resolve);
        this.#pending.push({ error });
        await again;
        this.#goOn = undefined;
      }
    }
    this.#ended = true;
    this.#pending.end();
  }

  async #shake(accepted: Accepted): Promise<void> {
    const { transport, remoteAddr, tls } = accepted;
    const handshake = this.#handshakes.begin(() => void transport.close());
    const { timeout, onTimeout, onFailure } = this.#handshake;
    const cancel = timeLimit(timeout, () => {
      handshake.giveUp();
      onTimeout(remoteAddr);
    });
    let request: Request | undefined;
    try {
      const early = await acceptHandshake(transport, {
        remoteHost: hostOf(remoteAddr),
        isSecure: tls !== undefined,
        rules: this.#rules,
        onRequest: (welcome) => request = welcome,
        onTls: (error) => onFailure?.(error, remoteAddr),
      });
      if (early !== undefined && this.#handshakes.has(handshake)) {
        const server = webSocketServer(transport, early);
        const accepted = { transport: server, remoteAddr, request, tls };
        return this.#pending.push({ accepted });
      }
    } catch {
      // The connection has failed, so an answer would not arrive.
    } finally {
      cancel();
      handshake.finish();
    }
    void transport.close();
  }
}

/** The host of an address such as `tcp://[::1]:80`, without brackets. */
function hostOf(addr: string): string {
  return /^\w+:\/\/\[?(.*?)\]?:\d+$/.exec(addr)?.[1] ?? "";
}
