/**
 * What the addresses of sockets look like, on every runtime.
 *
 * @module
 */

/**
 * The host and the port of `//host:port`; an IPv6 host is written in brackets.
 *
 * @throws {SyntaxError} if the address has another form
 */
export function parseHostPort(
  scheme: string,
  rest: string,
): { hostname: string; port: number } {
  const match = /^\/\/(?:\[([^\]]+)\]|([^/:@\s]+)):(\d{1,5})\/?$/.exec(rest);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new SyntaxError(`expected ${scheme}://host:port`);
  }
  return { hostname: match[1] ?? match[2]!, port };
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
 * The path of `/path`, `relative/path` or `///path`.
 *
 * @throws {SyntaxError} if there is none
 */
export function parsePath(scheme: string, rest: string): string {
  const path = rest.startsWith("//") ? rest.slice(2) : rest;
  if (path === "") throw new SyntaxError(`expected ${scheme}:/path`);
  return path;
}
