// The server under attack.
//
//   deno run -A tests/hostile/server.ts DIRECTORY SETUP
//
// DIRECTORY is the checkout whose library it uses, SETUP is a `Setup` in JSON.
// Writes its address, with what to trust it by, then every error passed to `onError`.
// Answers `stats`.

import type { Handler, Peer } from "../../mod.ts";
import { SELECTORS } from "../../talk/rendezvous/wire.ts";
import { answerAll, say } from "./answering.ts";
import type { Setup } from "./attack.ts";
import {
  loadCodec,
  loadLibrary,
  loadRendezvous,
  loadServeWebSocket,
} from "./library.ts";
import { makeHandler } from "./service.ts";

/** Errors to write; a flood of them would only slow the server down. */
const MAX_ERRORS = 500;

const [directory, text] = Deno.args;
const setup = JSON.parse(text!) as Setup;
const library = await loadLibrary(directory!);
const codec = await loadCodec(directory!, setup.codec ?? "json");
const peers = new Set<Peer>();
let errors = 0;

const options = {
  codec,
  handler: await front(),
  ...(setup.resume === true && { resume: {} }),
  onError(error: unknown, { selector }: { selector: string | undefined }) {
    if (errors++ >= MAX_ERRORS) return;
    const { name, code, message } = error as Error & { code?: string };
    say({ error: { name, code, message, selector } });
  },
};

/** The handler: the service itself, a `forward()` to it, or one beside it. */
async function front(): Promise<Handler> {
  const handler = makeHandler(library);
  if (setup.service === "rendezvous") {
    const { rendezvousService } = await loadRendezvous(directory!);
    const router = new library.Router();
    router.handle("/", handler);
    const rendezvous = rendezvousService();
    for (const selector of Object.values(SELECTORS)) {
      router.handle(selector, rendezvous);
    }
    return router;
  }
  if (setup.service !== "gateway") return handler;
  const [middle] = library.memoryPair({ codec }, { codec, handler });
  return library.forward(middle);
}

/** Listens; returns where, and the fingerprint of its certificate if it has one. */
async function start(): Promise<{ address: string; pin?: string }> {
  const local = "127.0.0.1:0";
  if (setup.transport !== "serve") {
    const scheme = setup.transport ?? "tcp";
    const isQuic = scheme === "quic" || scheme === "wt";
    const tls = isQuic
      ? await (await import("../support/quic.ts")).loopbackCertificate()
      : undefined;
    const listener = await library.listen(`${scheme}://${local}`, {
      ...options,
      ...(tls !== undefined && { tls: { cert: tls.cert, key: tls.key } }),
      ...(setup.plainStreams === true && { plainStreams: true }),
    });
    void watch(listener);
    const address = listener.addr;
    return tls === undefined ? { address } : { address, pin: tls.fingerprint };
  }
  const serveWebSocket = await loadServeWebSocket(directory!);
  const handle = serveWebSocket(options);
  void watch(handle.listener);
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    handle,
  );
  return { address: `ws://127.0.0.1:${server.addr.port}/` };
}

async function watch(listener: AsyncIterable<Peer>): Promise<void> {
  for await (const peer of listener) {
    peers.add(peer);
    const gone = () => void peers.delete(peer);
    peer.closed.then(gone, gone);
  }
}

/** Bytes alive after collecting garbage. */
async function alive(): Promise<number> {
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
  await new Promise((resolve) => setTimeout(resolve, 0));
  gc?.();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

say(await start());
await answerAll({
  stats: async () => ({
    alive: await alive(),
    usage: [...peers].map((peer) => peer.session.usage),
  }),
});
Deno.exit(0);
