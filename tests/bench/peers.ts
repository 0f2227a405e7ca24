/**
 * Who takes part in the bench.
 *
 * @module
 */
import { buildReference } from "../interop/reference.ts";
import { type MeasureName, MEASURES } from "./measures.ts";
import { denoPeer, type Peer } from "./peer.ts";
import { goToQtalk, qtalkGo } from "./peers/qtalk_go.ts";

/** A peer that takes part, or why one does not. */
export interface Entry {
  name: string;
  /** Undefined if it cannot take part. */
  peer?: Peer;
  missing?: string;
}

/** The names of those that ratios are about (targets.ts). */
export const NAMES = {
  qtalk: "qtalk (this)",
  before: "qtalk (before)",
  resuming: "qtalk (this), resuming",
  session: "qtalk (this), without calls",
  jsr: "qtalk (this), as JSR serves it",
  go: "qtalk-go",
  qtalkToGo: "qtalk → qtalk-go",
  goToQtalk: "qtalk-go → qtalk",
  raw: "(raw sockets and pipes)",
  idMap: "(id map, hand-written)",
  birpc: "birpc, WebSocket",
  kkrpc: "kkrpc, WebSocket",
  kkrpcStdio: "kkrpc, stdio",
  capnweb: "capnweb",
  capnwebWs: "capnweb, npm ws",
  comlink: "comlink",
  grpc: "grpc-js",
  yamux: "libp2p-yamux",
  http2: "node:http2",
  empty: "(an empty file)",
} as const;

/** All measures whose names begin so, and go on with a number or a dash. */
function named(...prefixes: string[]): MeasureName[] {
  const names = Object.keys(MEASURES) as MeasureName[];
  return names.filter((name) =>
    prefixes.some((prefix) => name === prefix || name.startsWith(`${prefix}-`))
  );
}

const CALLS = named("unary");
const PIPES = named("unix", "stdio");
const WEBSOCKET = named("ws");

/**
 * The peers whose names are `wanted`, ours first. What has to be built goes to
 * `directory`.
 *
 * @param before a checkout of an earlier version to compare with
 */
export async function findPeers(
  directory: string,
  wanted: (name: string) => boolean,
  before?: string,
): Promise<Entry[]> {
  const { raw, idMap, http2, yamux, grpc, birpc, kkrpc, empty } = NAMES;
  const everything = named(
    ...["unary", "unix", "stdio", "ws", "tls", "worker", "bytes", "echo"],
    ...["relay", "beside", "payload", "connections", "connection", "startup"],
    "parallel",
    "resume",
  );
  const growth = named("channels", "channel");
  const own = [
    denoPeer("raw", raw, [
      ...named("unary-1", "unix-1", "stdio-1", "unix-bytes", "stdio-bytes"),
      ...named("bytes", "echo", "relay", "connections", "startup"),
      ...named("tls-1", "tls-bytes"),
    ]),
    denoPeer("id_map", idMap, [
      ...CALLS,
      ...named("unix-64", "stdio-64", "ws", "tls-64", "worker", "payload"),
      ...named("connections"),
    ]),
    denoPeer("http2", http2, named("unary-64", "bytes", "beside")),
    denoPeer("empty", empty, ["startup"]),
  ];
  const fromNpm = [
    // birpc and kkrpc have WebSocket in the place of TCP.
    denoPeer("birpc", birpc, [...CALLS, ...WEBSOCKET]),
    { ...denoPeer("kkrpc", kkrpc, [...CALLS, ...WEBSOCKET]), chatty: true },
    denoPeer("kkrpc", NAMES.kkrpcStdio, named("stdio-1", "stdio-64")),
    denoPeer("capnweb", NAMES.capnweb, WEBSOCKET),
    denoPeer("capnweb_ws", NAMES.capnwebWs, WEBSOCKET),
    denoPeer("comlink", NAMES.comlink, named("worker")),
    denoPeer("grpc_js", grpc, [...CALLS, ...named("unix-64", "bytes")]),
    denoPeer("yamux", yamux, [...CALLS, ...named("bytes", "echo")]),
  ];
  return [
    entry(denoPeer("qtalk", NAMES.qtalk, everything)),
    ...before === undefined ? [] : [
      entry(denoPeer("qtalk", NAMES.before, everything, benchOf(before))),
    ],
    entry(denoPeer("qtalk_resuming", NAMES.resuming, named("resume"))),
    entry(denoPeer("qtalk_session", NAMES.session, growth)),
    entry(denoPeer("qtalk_jsr", NAMES.jsr, ["startup"])),
    ...[NAMES.go, NAMES.qtalkToGo, NAMES.goToQtalk].some(wanted)
      ? await findGo(directory)
      : [],
    ...own.map(entry),
    ...fromNpm.map(entry),
  ].filter(({ name }) => wanted(name));
}

/** The folder of the bench in a checkout. */
function benchOf(checkout: string): URL {
  return new URL("tests/bench/", toFileUrl(checkout));
}

function toFileUrl(folder: string): URL {
  return new URL(`${folder.replace(/\/$/, "")}/`, `file://${Deno.cwd()}/`);
}

function entry(peer: Peer): Entry {
  return { name: peer.name, peer };
}

async function findGo(directory: string): Promise<Entry[]> {
  const { go, qtalkToGo, goToQtalk: fromGo } = NAMES;
  const { binary, missing } = await buildReference(directory);
  if (missing !== undefined) {
    return [go, qtalkToGo, fromGo].map((name) => ({ name, missing }));
  }
  const both = ["unary-1", "unary-64"] as const;
  const reference = qtalkGo(binary, go, [
    ...CALLS,
    ...PIPES.filter((name) => name !== "stdio-bytes"),
    ...["bytes", "relay-call"] as const,
  ]);
  const ours = denoPeer("qtalk_to_go", qtalkToGo, both);
  return [
    reference,
    { ...ours, server: reference.server! },
    goToQtalk(binary, fromGo, both),
  ].map(entry);
}
