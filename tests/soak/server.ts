// The server of a soak run: listens in every way, and lets its listeners drain
// and start again. Answers questions from its standard input.
//
//   deno run -A --v8-flags=--expose-gc tests/soak/server.ts FOLDER
//
// FOLDER is for its socket. Writes its addresses, and errors that must not occur.

// First, so that it sees the timers of all others.
import "./timers.ts";
import {
  forward,
  type Handler,
  json,
  listen,
  type Listener,
  memoryPair,
  memoryPool,
  type Peer,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { answerAll, say } from "../hostile/answering.ts";
import { Random } from "../support/random.ts";
import { figuresAtRest } from "./figures.ts";
import { describe, isInterruption } from "./interruption.ts";
import { makeHandler, running } from "./service.ts";

const [folder] = Deno.args;
const peers = new Set<Peer>();
let interrupted = 0;

function onError(error: unknown, context: { selector: string | undefined }) {
  if (isInterruption(error)) interrupted++;
  else say({ problem: `onError, ${context.selector}: ${describe(error)}` });
}

globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  say({ problem: `unhandled rejection: ${describe(event.reason)}` });
});

const handler = makeHandler();
const options = {
  codecs: [json(), cbor(), msgpack()] as const,
  onError,
  memoryPool: memoryPool(),
  onPeer(peer: Peer) {
    peers.add(peer);
    const left = () => void peers.delete(peer);
    peer.closed.then(left, left);
  },
};

// What the gateway forwards to is in this process, too.
const [middle, backend] = memoryPair({ onError }, { handler, onError });
peers.add(middle).add(backend);

/** Listens on a port that no outgoing connection gets. */
async function listenOnPort(
  scheme: string,
  choose: () => number,
  handler: Handler,
): Promise<Listener<Peer>> {
  for (;;) {
    const address = `${scheme}://127.0.0.1:${choose()}`;
    try {
      return await listen(address, { ...options, handler });
    } catch (error) {
      if (!String(error).includes("in use")) throw error;
    }
  }
}

/** Chooses ports below those that systems use for outgoing connections. */
function anyPort(): number {
  return 10_000 + Math.floor(Math.random() * 20_000);
}

const HANDLERS: Record<string, Handler> = {
  tcp: handler,
  ws: handler,
  gateway: forward(middle),
};
const listeners = new Map<string, Listener<Peer>>();
for (const [name, handler] of Object.entries(HANDLERS)) {
  const scheme = name === "ws" ? "ws" : "tcp";
  listeners.set(name, await listenOnPort(scheme, anyPort, handler));
}
// Deno has no Unix sockets on Windows.
if (Deno.build.os !== "windows") {
  listeners.set(
    "unix",
    await listen(`unix:${folder}/socket`, { ...options, handler }),
  );
}

/** Lets a listener drain, and starts it again at the same address. */
async function drain(name: string, drainTimeout: number): Promise<void> {
  const listener = listeners.get(name)!;
  await listener.close({ drainTimeout });
  await listener.closed;
  const { addr } = listener;
  const of = HANDLERS[name] ?? handler;
  listeners.set(name, await listen(addr, { ...options, handler: of }));
}

/** Closes a session, as servers do with whom they do not want. */
async function drop(seed: number): Promise<void> {
  const random = new Random(seed);
  const some = [...peers].filter((peer) => peer !== middle && peer !== backend);
  if (some.length === 0) return;
  await random.pick(some).close({ drainTimeout: random.pick([0, 0, 300]) });
}

say({
  addresses: Object.fromEntries(
    [...listeners].map(([name, { addr }]) => [name, addr]),
  ),
});
await answerAll({
  drain: async ({ name, drainTimeout }) => {
    const begun = performance.now();
    await drain(String(name), Number(drainTimeout));
    return { took: performance.now() - begun };
  },
  drop: async ({ seed }) => {
    await drop(Number(seed));
    return {};
  },
  peers: () => ({ count: peers.size - 2 }),
  figures: async () => ({
    figures: await figuresAtRest(() => peers, () => running.count),
    interrupted,
  }),
});
Deno.exit(0);
