/**
 * What the addresses of sockets look like, on every runtime.
 *
 * @module
 */
import { portZero } from "../errors.ts";

/** The addresses that are different ones in each network of a machine. */
const LINK_LOCAL = /^fe[89ab][0-9a-f]:/;

/**
 * The host and the port of `//host:port`; an IPv6 host is written in brackets. What
 * is no host is an error here: runtimes disagree about `*`, for example, which is
 * every address of this machine on Bun.
 *
 * @throws {SyntaxError} if the address has another form
 */
export function parseHostPort(
  scheme: string,
  rest: string,
): { hostname: string; port: number } {
  const form =
    /^\/\/(?:\[([^\]%]+)(%[\w.-]+)?\]|([^/:@\s?#\\]+)):(\d{1,5})\/?$/;
  const [, ipv6, zone = "", name, digits] = form.exec(rest) ?? [];
  const hostname = ipv6 === undefined ? nameOf(name) : ipv6Of(ipv6);
  const port = Number(digits);
  if (hostname === undefined || port > 65_535) {
    throw new SyntaxError(`expected ${scheme}://host:port`);
  }
  // Elsewhere, Node ignores it, and Deno finds no such host.
  if (zone !== "" && !LINK_LOCAL.test(hostname)) {
    throw new SyntaxError('only an address of "fe80::/10" has a zone');
  }
  return { hostname: hostname + zone, port };
}

/**
 * As {@linkcode parseHostPort}, for dialing.
 *
 * @throws {SyntaxError} also if the port is 0
 */
export function parseRemote(
  scheme: string,
  rest: string,
): { hostname: string; port: number } {
  const place = parseHostPort(scheme, rest);
  if (place.port === 0) throw portZero();
  return place;
}

/** A name, or an address of IPv4; undefined if the text is none. */
export function nameOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  // Names in other letters are looked up in their form of ASCII.
  const hostname = URL.parse(`http://${text}`)?.hostname ?? "";
  return /^[\w.-]+$/.test(hostname) ? hostname : undefined;
}

/** An address of IPv6 in its one form; undefined if the text is none. */
export function ipv6Of(text: string): string | undefined {
  return URL.parse(`http://[${text}]`)?.hostname.slice(1, -1);
}

/** The address of a host and a port. */
export function hostPort(
  scheme: string,
  { hostname, port }: { hostname: string; port: number },
): string {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return `${scheme}://${host}:${port}`;
}

/**
 * The address of a listener. Deno and Bun leave out the zone, without which nothing
 * can be dialed.
 *
 * @param asked the host that it was to listen at
 */
export function boundAddress(
  scheme: string,
  asked: string,
  { hostname, port }: { hostname: string; port: number },
): string {
  const host = asked.includes("%") ? asked : hostname;
  return hostPort(scheme, { hostname: host, port });
}

/**
 * The path of `/path`, `relative/path` or `///path`.
 *
 * @throws {SyntaxError} if there is none
 */
export function parsePath(scheme: string, rest: string): string {
  const path = rest.startsWith("//") ? rest.slice(2) : rest;
  // A zero character ends a path, but may begin a name that is not a file.
  if (path === "" || path === "\0" || path.indexOf("\0", 1) > 0) {
    throw new SyntaxError(`expected ${scheme}:/path`);
  }
  return path;
}
