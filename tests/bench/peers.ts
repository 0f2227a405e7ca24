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
  /** It comes from a registry, which may not be there. */
  fetched?: boolean;
}

/**
 * The peers whose names are `wanted`, ours first. What has to be built goes to
 * `directory`.
 */
export async function findPeers(
  directory: string,
  wanted: (name: string) => boolean,
): Promise<Entry[]> {
  const calls = ["unary-1", "unary-64"] as const;
  const all = [...calls, "bytes"] as const;
  const own = [
    denoPeer("raw_tcp", "raw TCP", ["unary-1", "bytes"]),
    denoPeer("id_map", "id map, hand-written", calls),
  ];
  const fromNpm = [
    denoPeer("birpc", "birpc, WebSocket", calls),
    denoPeer("kkrpc", "kkrpc, WebSocket", calls),
    denoPeer("grpc_js", "grpc-js", all),
    denoPeer("yamux", "libp2p-yamux", all),
  ];
  const others = [
    ...own.map(entry),
    ...fromNpm.map((peer) => ({ ...entry(peer), fetched: true })),
  ];
  return [
    entry(denoPeer("qtalk", "qtalk (this)", all)),
    ...wanted(GO_NAME) ? [await findGo(directory)] : [],
    ...others,
  ].filter(({ name }) => wanted(name));
}

function entry(peer: Peer): Entry {
  return { name: peer.name, peer };
}

const GO_NAME = "qtalk-go";

async function findGo(directory: string): Promise<Entry> {
  const { binary, missing } = await buildReference(directory);
  if (missing !== undefined) return { name: GO_NAME, missing };
  return entry(qtalkGo(binary));
}
