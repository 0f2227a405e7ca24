/**
 * Either process of a peer, for every runtime.
 *
 *     program.mjs server PEER TRANSPORT
 *     program.mjs client PEER ADDRESS IN-FLIGHT OPTIONS
 *
 * A server prints "listening ADDRESS"; a client, a line of JSON, a `TimedSample`.
 *
 * @module
 */
import process from "node:process";
import type { MeasureOptions, Sample, Transport } from "../measures.ts";
import type { DenoPeer } from "../peer.ts";
import { rate, timeCalls } from "../timing.ts";

/** A sample, and microseconds of processor time of the client for each call. */
export interface TimedSample extends Sample {
  cpuPerCall: number;
}

/** Loaded one at a time, since each loads what it has from npm. */
const PEERS: Record<string, () => Promise<{ default: DenoPeer }>> = {
  qtalk: () => import("./peers/qtalk.ts"),
  birpc: () => import("./peers/birpc.ts"),
  kkrpc: () => import("./peers/kkrpc.ts"),
  id_map: () => import("./peers/id_map.ts"),
};

const [mode, name, where, inflight, given] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const { default: peer } = await PEERS[name]!();
if (mode === "server") {
  console.log(`listening ${await peer.serve!(where as Transport)}`);
} else {
  const connection = await peer.connect(where);
  const limits = JSON.parse(given) as MeasureOptions;
  const connections = [connection];
  await timeCalls(connections, Number(inflight), { ...limits, seconds: 0 });
  const before = process.cpuUsage();
  const options = { ...limits, warmup: 0 };
  const calls = await timeCalls(connections, Number(inflight), options);
  const { user, system } = process.cpuUsage(before);
  const cpuPerCall = (user + system) / calls.times.length;
  console.log(JSON.stringify({ ...rate(calls), cpuPerCall }));
  // Some libraries leave something behind that would keep the process.
  process.exit(0);
}
