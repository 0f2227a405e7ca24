import {
  memoryTransports,
  qmux,
  type SessionOptions,
} from "../mux/internal.ts";
import { Peer, type PeerOptions } from "./peer.ts";

/**
 * Two peers in one process, connected to each other: for tests, and for parts
 * of a program that talk as if they were two.
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
 * @param a options of the first
 * @param b options of the second
 */
export function memoryPair(
  a: PeerOptions & { session?: SessionOptions } = {},
  b: PeerOptions & { session?: SessionOptions } = {},
): [Peer, Peer] {
  const [left, right] = memoryTransports();
  return [
    new Peer(qmux(left, a.session), a),
    new Peer(qmux(right, b.session), b),
  ];
}
