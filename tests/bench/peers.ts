/**
 * Who takes part in the bench.
 *
 * @module
 */
import { buildReference } from "../interop/reference.ts";
import { denoPeer, type Peer } from "./peer.ts";
import { qtalkGo } from "./peers/qtalk_go.ts";

/** A peer that takes part, or why one does not. */
export interface Entry {
  name: string;
  /** Undefined if it cannot take part. */
  peer?: Peer;
  missing?: string;
}

/**
 * All peers, ours first. What has to be built goes to `directory`.
 */
export async function findPeers(directory: string): Promise<Entry[]> {
  const denoPeers = [
    denoPeer("qtalk", "qtalk (this)", ["unary-1", "unary-64", "bytes"]),
    denoPeer("raw_tcp", "raw TCP", ["unary-1", "bytes"]),
    denoPeer("id_map", "id map, hand-written", ["unary-1", "unary-64"]),
  ];
  const [first, ...others] = denoPeers.map((peer) => ({
    name: peer.name,
    peer,
  }));
  return [first!, await findGo(directory), ...others];
}

async function findGo(directory: string): Promise<Entry> {
  const { binary, missing } = await buildReference(directory);
  if (missing !== undefined) return { name: "qtalk-go", missing };
  return { name: "qtalk-go", peer: qtalkGo(binary) };
}
