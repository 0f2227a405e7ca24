/**
 * Which HTTP requests may become WebSockets, by their path, `Host` and `Origin`.
 *
 * A browser lets every page connect to every server that its machine reaches.
 * `Origin` says which page it is. It does not help where a page's own name is made
 * to resolve to this machine (DNS rebinding): the page then has the server's
 * origin. The name is in `Host`, and a server that is reached over loopback knows
 * which names are right.
 *
 * @module
 */
import type { ListenSchemeOptions } from "../../types.ts";

/** The rules of a server. */
export interface RequestRules extends ListenSchemeOptions {
  /** The only path that accepts WebSockets. Default: every path. */
  path?: string | undefined;
}

/** What the rules decide by. */
export interface RequestFacts {
  /** The path of the request, without the query. */
  path: string;
  /** The headers; one that was sent twice is joined with a comma. */
  headers: Headers;
  /** The IP address of the client, without brackets; empty if unknown. */
  remoteHost: string;
}

/**
 * - 400: `Host` is missing or malformed.
 * - 403: `Host` or `Origin` is not welcome.
 * - 404: not a path for WebSockets.
 * - 426: the path is right, but the request asks for no WebSocket.
 */
export type RefusalStatus = 400 | 403 | 404 | 426;

/** The status that refuses a request; undefined if it is welcome. */
export function refusalOf(
  { path, headers, remoteHost }: RequestFacts,
  rules: RequestRules,
): RefusalStatus | undefined {
  const host = headers.get("host") ?? "";
  // Before all else: some servers make the URL, and so the path, of `Host`.
  if (hostnameOf(host) === undefined) return 400;
  if (rules.path !== undefined && rules.path !== path) return 404;
  if (headers.get("upgrade")?.toLowerCase() !== "websocket") return 426;
  const checksHost = rules.hosts !== undefined ||
    isLoopback(remoteHost) && !isForwarded(headers);
  if (checksHost && !isKnownHost(host, rules.hosts)) return 403;
  return isKnownOrigin(headers.get("origin"), host, rules.origins)
    ? undefined
    : 403;
}

/**
 * Checks the option `hosts`.
 *
 * @throws {TypeError} if a member is not a name or an address
 */
export function checkHosts(hosts: RequestRules["hosts"]): void {
  for (const host of hosts === "*" ? [] : hosts ?? []) {
    const name = bracketed(host);
    if (NAME.test(name) && hostnameOf(name) !== undefined) continue;
    throw new TypeError(
      `Cannot use option "hosts": "${host}" is not a name or an address without a port`,
    );
  }
}

/**
 * Whether an IP address or a name is of loopback: the machine itself. The
 * unspecified address counts, because connecting to it does the same.
 */
export function isLoopback(host: string): boolean {
  const name = hostnameOf(bracketed(host));
  return name !== undefined && (
    name === "localhost" || name.endsWith(".localhost") ||
    /^127\.\d+\.\d+\.\d+$/.test(name) || name === "0.0.0.0" ||
    /^\[::(1|ffff:7f[0-9a-f]{2}:[0-9a-f]+)?\]$/.test(name)
  );
}

/**
 * Whether a proxy forwarded the request. It then comes from this machine, but not
 * from a browser on it: pages can set no headers of a WebSocket.
 */
function isForwarded(headers: Headers): boolean {
  return headers.has("forwarded") || headers.has("x-forwarded-for") ||
    headers.has("x-forwarded-host");
}

function isKnownHost(
  header: string,
  hosts: NonNullable<RequestRules["hosts"]> = [],
): boolean {
  if (hosts === "*") return true;
  const name = hostnameOf(header);
  if (name === undefined) return false;
  return isLoopback(name) ||
    hosts.some((host) => hostnameOf(bracketed(host)) === name);
}

/** Whether a page may connect. Programs other than browsers send no origin. */
function isKnownOrigin(
  origin: string | null,
  host: string,
  origins: NonNullable<RequestRules["origins"]> = [],
): boolean {
  if (origin === null || origins === "*" || origins.includes(origin)) {
    return true;
  }
  if (!URL.canParse(origin)) return false;
  const page = new URL(origin);
  // With the page's scheme, because a proxy in front of this server may handle
  // TLS: the port that the scheme implies is the page's.
  const server = parseHost(host, page.protocol);
  return server !== undefined && server.host === page.host;
}

/** A name or an IP address; an IPv6 address in brackets. */
const NAME = /^(?:[\w.~-]+|\[[0-9a-f:.]+\])$/i;
/** What may follow it. */
const PORT = /:\d{0,5}$/;

/** Parses a `Host` header; undefined if it is malformed. */
function parseHost(header: string, protocol: string): URL | undefined {
  const text = `${protocol}//${header}`;
  const wellFormed = NAME.test(header.replace(PORT, ""));
  return wellFormed && URL.canParse(text) ? new URL(text) : undefined;
}

/**
 * The name in a `Host` header in its canonical form: without the port and the dot
 * of the root, in lower case; an IPv6 address in brackets.
 */
function hostnameOf(header: string): string | undefined {
  return parseHost(header, "http:")?.hostname.replace(/\.$/, "");
}

function isIpv6(host: string): boolean {
  return host.includes(":", host.indexOf(":") + 1);
}

function bracketed(host: string): string {
  return isIpv6(host) && !host.startsWith("[") ? `[${host}]` : host;
}
