import {
  memoryTransports,
  qmux,
  resolveOptions,
  type SessionOptions,
} from "../mux/internal.ts";
import type { Carried } from "../codec/internal.ts";
import { observed, type ObserverOption } from "./observe/option.ts";
import { checkPeerOptions, Peer, type PeerOptions } from "./peer.ts";

/** What observers call the other end. */
const ADDRESS = "memory:";

/** Options of each peer of {@linkcode memoryPair}. */
export interface MemoryPairOptions<C extends Carried = Carried>
  extends PeerOptions<C>, ObserverOption {
  /** Limits of this side's session. Default: those of `qmux()`. */
  session?: SessionOptions | undefined;
}

/**
 * Makes two connected peers in one process: for tests, and for parts of a
 * program that call each other.
 *
 * @example
 * ```ts
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const [a, b] = memoryPair();
 * await using _ = a;
 * b.handle("hi", (_call, respond) => respond.return("there"));
 * assertEquals(await a.call("hi"), "there");
 * ```
 *
 * @param a options of the first peer
 * @param b options of the second peer
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `handler`, `codec`, `codecs` or `observer` is of the wrong
 * type
 */
export function memoryPair<
  A extends Carried = Carried,
  B extends Carried = Carried,
>(
  a: MemoryPairOptions<A> = {},
  b: MemoryPairOptions<B> = {},
): [Peer<A>, Peer<B>] {
  // Checked first: a session that was made would have to be closed.
  checkOptions(a);
  checkOptions(b);
  const [left, right] = memoryTransports();
  return [
    new Peer(qmux(observed(left, ADDRESS, a), a.session), a),
    new Peer(qmux(observed(right, ADDRESS, b), b.session), b),
  ];
}

function checkOptions<C extends Carried>(options: MemoryPairOptions<C>): void {
  checkPeerOptions(options);
  resolveOptions(options.session);
}
