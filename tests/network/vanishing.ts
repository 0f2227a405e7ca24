/**
 * Ends that vanish without a trace, and ends that only seem to: with real processes,
 * sockets and time.
 *
 * @module
 */
import {
  dial,
  dialCommand,
  listen,
  MuxError,
  type Peer,
  type SessionOptions,
} from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { handler, pour } from "./node.ts";
import { Relay } from "./relay.ts";
import { Namespace } from "./namespace.ts";

/** How peers are connected. */
export const TRANSPORTS = ["tcp", "ws", "http", "unix", "stdio"] as const;
/** One of them: `http` is a WebSocket of `Deno.serve()`. */
export type TransportName = typeof TRANSPORTS[number];

const NODE = new URL("node.ts", import.meta.url).pathname;
const TLS = new URL("../support/tls/", import.meta.url);

/** The other end: a process, and a peer that talks to it. */
interface Far extends AsyncDisposable {
  readonly peer: Peer;
  /** The process; -1 if that is of no interest. */
  readonly pid: number;
}

/** What a case may take, and how it is done. */
export interface Conditions {
  /** When silence counts. */
  readonly keepAlive: { readonly interval: number; readonly timeout: number };
  /** Whether both ends leave it to the defaults, which say the same. */
  readonly isDefault: boolean;
  /** Milliseconds that a peer computes without being taken for lost. */
  readonly computing: number;
  /** Milliseconds within which the end must be noticed. */
  readonly limit: number;
}

function sessionOf({ keepAlive, isDefault }: Conditions): SessionOptions {
  return isDefault ? {} : { keepAlive };
}

function nodeArgs(
  role: "serve" | "dial" | "visit",
  address: string,
  { keepAlive, isDefault }: Conditions,
): string[] {
  const option = isDefault ? [] : [JSON.stringify(keepAlive)];
  const trust = `--cert=${new URL("ca.pem", TLS).pathname}`;
  return ["run", "-A", "--no-check", trust, NODE, role, address, ...option];
}

function tls(name: string): string {
  return Deno.readTextFileSync(new URL(`${name}.pem`, TLS));
}

const ADDRESSES: Record<Exclude<TransportName, "stdio" | "unix">, string> = {
  tcp: "tcp://127.0.0.1:0",
  ws: "ws://127.0.0.1:0/",
  http: "http://127.0.0.1",
};

function addressFor(name: Exclude<TransportName, "stdio">): string {
  return name === "unix"
    ? `unix:${Deno.makeTempDirSync()}/socket`
    : ADDRESSES[name];
}

/** Reads the first line of a process; the rest is dropped. */
async function firstLine(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`The node has ended: ${text}`);
    text += value;
  }
  void reader.cancel();
  return text.split("\n")[0]!;
}

/** Starts a server as a process; returns the address to dial. */
async function startServer(
  address: string,
  conditions: Conditions,
  prefix: string[] = [],
): Promise<{ address: string; pid: number; kill(): Promise<void> }> {
  const [program, ...args] = [
    ...prefix,
    Deno.execPath(),
    ...nodeArgs("serve", address, conditions),
  ];
  const child = new Deno.Command(program!, { args, stdout: "piped" }).spawn();
  return {
    address: await firstLine(child),
    pid: child.pid,
    async kill() {
      killAll(child.pid);
      await child.status;
    },
  };
}

function killAll(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** A server that is dialed, through a relay if there is one. */
async function dialed(
  name: TransportName,
  conditions: Conditions,
  relay?: Relay,
): Promise<Far> {
  const session = sessionOf(conditions);
  const options = { session, handler, onError() {} };
  if (name === "stdio") {
    const peer = dialCommand(Deno.execPath(), {
      ...options,
      args: nodeArgs("serve", "stdio:", conditions),
    });
    return {
      peer,
      pid: peer.pid,
      async [Symbol.asyncDispose]() {
        killAll(peer.pid);
        await peer.close();
      },
    };
  }
  const server = await startServer(addressFor(name), conditions);
  let { address } = server;
  if (relay !== undefined) {
    const url = new URL(address.replace("tcp:", "ws:"));
    const port = await relay.to(Number(url.port));
    address = address.replace(`:${url.port}`, `:${port}`);
  }
  const peer = await dial(address, options);
  return {
    peer,
    pid: server.pid,
    async [Symbol.asyncDispose]() {
      await server.kill();
      await peer.close();
    },
  };
}

/** A client that has dialed this process. */
async function accepted(
  name: Exclude<TransportName, "stdio"> | "wss",
  conditions: Conditions,
  role: "dial" | "visit" = "dial",
): Promise<Far> {
  const session = sessionOf(conditions);
  const connected = Promise.withResolvers<Peer>();
  const options = {
    session,
    handler,
    onError() {},
    onPeer: (peer: Peer) => connected.resolve(peer),
  };
  let address: string;
  let close: () => Promise<void>;
  if (name === "http" || name === "wss") {
    const answer = serveWebSocket(options);
    const where = { hostname: "127.0.0.1", port: 0, onListen() {} };
    const server = name === "http"
      ? Deno.serve(where, answer)
      : Deno.serve({ ...where, cert: tls("cert"), key: tls("key") }, answer);
    const { port } = server.addr;
    address = name === "http"
      ? `ws://127.0.0.1:${port}`
      : `wss://localhost:${port}`;
    close = async () => {
      await answer.listener.close();
      await server.shutdown();
    };
  } else {
    const listener = await listen(addressFor(name), options);
    address = listener.addr;
    close = () => listener.close();
  }
  const child = new Deno.Command(Deno.execPath(), {
    args: nodeArgs(role, address, conditions),
  }).spawn();
  const peer = await connected.promise;
  return {
    peer,
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      killAll(child.pid);
      await child.status;
      await close();
    },
  };
}

/** Keeps the connection busy in both directions, until it ends. */
function load(peer: Peer): void {
  const quiet = () => {};
  void (async () => {
    for (;;) await peer.call("hello");
  })().catch(quiet);
  void peer.call("take", pour()).catch(quiet);
  void (async () => {
    const { channel } = await peer.request("pour");
    for await (const _ of channel!.readable);
  })().catch(quiet);
}

/** Does `vanish`, and measures how long it takes until the session has ended. */
async function measure(
  peer: Peer,
  { limit, keepAlive }: Conditions,
  busy: boolean,
  vanish: () => void | Promise<void>,
): Promise<number> {
  assertEquals(await peer.call("hello"), "hello");
  return await measureUnknown(peer, { limit, keepAlive }, busy, vanish);
}

/** As {@linkcode measure}, for a peer that was not called before. */
async function measureUnknown(
  peer: Peer,
  { limit, keepAlive }: Pick<Conditions, "limit" | "keepAlive">,
  busy: boolean,
  vanish: () => void | Promise<void>,
): Promise<number> {
  if (busy) {
    load(peer);
    // A moment in which buffers fill.
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await vanish();
  const since = performance.now();
  const pending = peer.call("hello").catch((error) => error);
  const error = await assertRejects(() => peer.closed, MuxError);
  const took = performance.now() - since;
  assertEquals(error.code, "connection-lost");
  assertMatch(error.message, /no byte arrived (?:for \d+ m?s|within)/);
  assertEquals(await pending instanceof MuxError, true);
  assert(took < limit, `${Math.round(took)} ms, limit ${limit}`);
  const { interval, timeout } = keepAlive;
  assert(
    took > 0.8 * timeout,
    `${Math.round(took)} ms: ${interval}, ${timeout}`,
  );
  return took;
}

/** A case: what is done, and how it is told. */
export interface Case {
  /** What happens. */
  readonly name: string;
  /** Runs it; returns the milliseconds that it took, or those that it was alive. */
  run(conditions: Conditions): Promise<number>;
  /** Why it cannot be run here; undefined if it can. */
  readonly skipped?: string | undefined;
}

const LOADS = [false, true] as const;

/** Those over which this process can be dialed: it alone trusts no certificate. */
const ACCEPTED = ["tcp", "ws", "http", "wss", "unix"] as const;

function how(busy: boolean): string {
  return busy ? "under load" : "idle";
}

/** Ends that have said nothing, so that only WebSocket can ping them. */
function unknown(): Case[] {
  const dials = (["ws", "http"] as const).map((transport): Case => ({
    name: `a server that is stopped before it was called, ${transport}`,
    async run(conditions) {
      await using far = await dialed(transport, conditions);
      const stop = () => Deno.kill(far.pid, "SIGSTOP");
      return await measureUnknown(far.peer, conditions, false, stop);
    },
  }));
  const visits = (["ws", "http"] as const).map((transport): Case => ({
    name: `a client that is stopped before it has called, ${transport}`,
    async run(conditions) {
      await using far = await accepted(transport, conditions, "visit");
      const stop = () => Deno.kill(far.pid, "SIGSTOP");
      return await measureUnknown(far.peer, conditions, false, stop);
    },
  }));
  return [...dials, ...visits];
}

/** A reconnecting peer, whose server comes back. */
const RECONNECTING: Case = {
  name: "a reconnecting peer whose server is stopped for a while",
  async run(conditions) {
    const server = await startServer(ADDRESSES.tcp, conditions);
    const states: string[] = [];
    const lost = Promise.withResolvers<number>();
    let since = 0;
    const peer = await dial(server.address, {
      session: sessionOf(conditions),
      reconnect: {
        onState({ name }) {
          states.push(name);
          if (name === "waiting") lost.resolve(performance.now() - since);
        },
      },
    });
    try {
      assertEquals(await peer.call("hello"), "hello");
      Deno.kill(server.pid, "SIGSTOP");
      since = performance.now();
      const took = await lost.promise;
      assert(took < conditions.limit, `${Math.round(took)} ms`);
      const call = peer.call("hello");
      Deno.kill(server.pid, "SIGCONT");
      assertEquals(await call, "hello");
      assertEquals(
        states.slice(0, 4).join(),
        [
          "connecting",
          "connected",
          "waiting",
          "connecting",
        ].join(),
      );
      return took;
    } finally {
      await peer.close();
      await server.kill();
    }
  },
};

function stopped(): Case[] {
  const cases: Case[] = [];
  for (const busy of LOADS) {
    const add = (
      what: string,
      connect: (conditions: Conditions) => Promise<Far>,
    ) =>
      cases.push({
        name: `a ${what}, ${how(busy)}`,
        async run(conditions) {
          await using far = await connect(conditions);
          return await measure(
            far.peer,
            conditions,
            busy,
            () => Deno.kill(far.pid, "SIGSTOP"),
          );
        },
      });
    for (const transport of TRANSPORTS) {
      add(
        `server that is stopped, ${transport}`,
        (conditions) => dialed(transport, conditions),
      );
    }
    for (const transport of ACCEPTED) {
      add(
        `client that is stopped, ${transport}`,
        (conditions) => accepted(transport, conditions),
      );
    }
    for (const transport of ["tcp", "ws"] as const) {
      for (const kind of ["deaf", "hole"] as const) {
        cases.push({
          name: `a relay that ${
            kind === "deaf" ? "takes nothing any more" : "drops everything"
          }, ${transport}, ${how(busy)}`,
          async run(conditions) {
            await using relay = new Relay();
            await using far = await dialed(transport, conditions, relay);
            return await measure(
              far.peer,
              conditions,
              busy,
              () => relay.fall(kind),
            );
          },
        });
      }
      cases.push({
        name: `a cable that is pulled, ${transport}, ${how(busy)}`,
        skipped: Namespace.missing(),
        async run(conditions) {
          await using space = await Namespace.make();
          const scheme = transport === "tcp"
            ? `tcp://${space.farAddress}:0`
            : `ws://${space.farAddress}:0/`;
          const server = await startServer(scheme, conditions, space.command);
          const peer = await dial(server.address, {
            session: sessionOf(conditions),
            handler,
            onError() {},
          });
          try {
            return await measure(peer, conditions, busy, () => space.cut());
          } finally {
            await server.kill();
            await peer.close();
          }
        },
      });
    }
  }
  return cases;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whether a peer is there after `use`, whatever it did meanwhile. */
async function survives(
  far: Far,
  use: (peer: Peer) => Promise<unknown>,
): Promise<number> {
  const { peer } = far;
  let ended: unknown;
  peer.closed.then(() => ended = "closed", (error) => ended = error);
  assertEquals(await peer.call("hello"), "hello");
  const since = performance.now();
  await use(peer);
  assertEquals(ended, undefined);
  assertEquals(await peer.call("hello"), "hello");
  return performance.now() - since;
}

function slow(): Case[] {
  const cases: Case[] = [];
  for (const transport of TRANSPORTS) {
    cases.push({
      name: `a server that computes, ${transport}`,
      async run(conditions) {
        await using far = await dialed(transport, conditions);
        return await survives(far, async (peer) => {
          // The worst moment: just before the ping.
          await sleep(conditions.keepAlive.interval * 0.9);
          await peer.call("compute", [conditions.computing]);
        });
      },
    });
    cases.push({
      name: `a reader that takes nothing, ${transport}`,
      async run(conditions) {
        await using far = await dialed(transport, conditions);
        return await survives(far, async (peer) => {
          const end = new AbortController();
          const { signal } = end;
          const ignored = peer.call("ignore", pour(), { signal });
          const { channel } = await peer.request("pour", null, { signal });
          const { interval, timeout } = conditions.keepAlive;
          await sleep(1.2 * (interval + timeout));
          await channel!.close();
          end.abort("enough");
          await ignored.catch(() => {});
        });
      },
    });
  }
  for (const transport of ACCEPTED) {
    cases.push({
      name: `a client that computes, ${transport}`,
      async run(conditions) {
        await using far = await accepted(transport, conditions);
        return await survives(
          far,
          (peer) => peer.call("compute", [conditions.computing]),
        );
      },
    });
  }
  return cases;
}

/** All of them. */
export const CASES: readonly Case[] = [
  ...stopped(),
  ...unknown(),
  RECONNECTING,
  ...slow(),
];
