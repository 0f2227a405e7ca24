/**
 * What the two halves of a tunnel say to each other. They call each other, each
 * call with an array of one argument or none, in JSON.
 *
 * | call | from | argument | response |
 * | --- | --- | --- | --- |
 * | `tunnel/challenge` | publisher | `Challenge` | `ChallengeAnswer` |
 * | `tunnel/publish` | publisher | `PublishRequest` | continued with `PublishAnswer` |
 * | `tunnel/health` | publisher | `Health` | `null` |
 * | `tunnel/release` | publisher | | `null` |
 * | `tunnel/connect` | server | the address of the client | continued with `null`, then the bytes of the connection |
 * | `tunnel/alive` | server | | `null` |
 *
 * A publisher first exchanges random numbers with the server, and then publishes. If
 * the server requires a token, the request has a proof over both numbers and the
 * request, and the answer has one over the answer (see `proof.ts`). Each exchange is
 * good for one request. A publisher refuses `tunnel/connect` until it has checked the
 * server's proof.
 *
 * The port is open as long as the *lease*, which outlives the `tunnel/publish` call:
 * when the call ends because its session is lost, the server keeps the port for the
 * lease time, and connections wait for the next publisher with the same name. A
 * publisher that ends on purpose calls `tunnel/release` first. If a name is claimed
 * that has a publisher, the request succeeds at once if both have the same `process`;
 * otherwise only if the earlier one does not answer `tunnel/alive` in time. Either
 * way the server closes the session of the earlier one. A server that ends closes the
 * `tunnel/publish` call.
 *
 * @module
 */

/** The selectors of the tunnel server and of publishers. */
export const SELECTORS = {
  challenge: "tunnel/challenge",
  publish: "tunnel/publish",
  health: "tunnel/health",
  release: "tunnel/release",
  connect: "tunnel/connect",
  alive: "tunnel/alive",
} as const;

/** The argument of `tunnel/challenge`. */
export interface Challenge {
  /** A random number of the publisher. */
  readonly nonce: string;
}

/** The response to it. */
export interface ChallengeAnswer {
  /** A random number of the server. */
  readonly nonce: string;
  /** Whether the server requires a token. */
  readonly tokenRequired: boolean;
}

/** Whether the target accepts connections. */
export interface Health {
  /** Whether it does. */
  readonly ok: boolean;
  /** Why not; empty if it does. */
  readonly reason: string;
}

/** The argument of `tunnel/publish`. */
export interface PublishRequest {
  /** What the lease is kept under. */
  readonly name: string;
  /** A random number that all requests of one process have in common. */
  readonly process: string;
  /** The port to open, or 0 for any. */
  readonly port: number;
  /** Whether no other port will do. */
  readonly exact: boolean;
  /** The state of the target. */
  readonly health: Health;
  /** Proves that the publisher knows the token. */
  readonly proof?: string | undefined;
}

/** The first value of the response to it. */
export interface PublishAnswer {
  /** The public address. */
  readonly address: string;
  /** How long the port is kept for a publisher that is lost, in milliseconds. */
  readonly lease: number;
  /** Proves that the server knows the token. */
  readonly proof?: string | undefined;
}

/** Codes of refusals that another attempt would meet as well. */
export const PERMANENT_CODES: readonly string[] = [
  "not-found",
  "unauthorized",
  "bad-arguments",
];

/** What a request's proof is about. */
export function contentOf(
  { name, process, port, exact }: PublishRequest,
): (string | number | boolean)[] {
  return [name, process, port, exact];
}

/** What an answer's proof is about. */
export function answerContentOf(
  request: PublishRequest,
  { address, lease }: PublishAnswer,
): (string | number | boolean)[] {
  return [...contentOf(request), address, lease];
}

/** Whether a tunnel may have this name. */
export function isName(name: unknown): name is string {
  return typeof name === "string" && /^[\w.:@+-]{1,64}$/.test(name);
}

/** A host and a port. */
export interface HostAndPort {
  /** The host, without brackets. */
  readonly hostname: string;
  /** The port; 0 chooses a free one. */
  readonly port: number;
}

/** A TCP address in the form of `dial()`. */
export function addressOf({ hostname, port }: HostAndPort): string {
  return `tcp://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}
