import { dialSession, listenSession } from "@qtalk/qtalk";
import { resumeStore } from "@qtalk/qtalk/mux";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert, assertEquals } from "@std/assert";
import { test } from "../support/harness.ts";
import { loopbackCertificate } from "../support/quic.ts";
import { forSeeds, type Random, runsAllSeeds } from "../support/random.ts";
import { until } from "../support/within.ts";
import { CuttingRelay, type PlannedCut } from "./cutting_relay.ts";
import { CUTS } from "./line.ts";
import { runDialed, runWithoutCuts, sizeOf } from "./random_session.ts";

/**
 * Bytes within which a connection is established, with its TLS, the request of its
 * WebSocket and the handshake of the session.
 */
const ESTABLISHED = 8_000;
/** How soon a silence is noticed. */
const keepAlive = { interval: 500, timeout: 500 };

/** The cuts of a session, after which connections last. */
function cutsOf(
  random: Random,
  bytes: number,
): { plan: () => PlannedCut; onCut: () => void; cuts: () => number } {
  let left = random.int(1, 8);
  let cuts = 0;
  let first = true;
  return {
    cuts: () => cuts,
    onCut() {
      left--;
      cuts++;
    },
    plan() {
      const cut = random.pick(CUTS);
      if (left <= 0) return { after: Infinity, cut };
      const after = random.int(0, Math.max(2_000, bytes / left));
      // Before, only the time of an attempt would end a silent connection.
      const isSilent = cut === "silence" || cut === "half-open there";
      // Dialing makes one attempt.
      const isEstablished = first || isSilent;
      first = false;
      return { after: after + (isEstablished ? ESTABLISHED : 0), cut };
    },
  };
}

test("resume: over tcp:, tls: and wss:, and from one to another, random sessions carry what they carry without cuts", async (t) => {
  const { cert, key, authority } = await loopbackCertificate();
  const resume = resumeStore();
  const options = { resume, tls: { cert, key }, session: { keepAlive } };
  const { tls: _, ...plain } = options;
  const listeners = {
    tcp: t.watch(await listenSession("tcp://127.0.0.1:0", plain)),
    tls: t.watch(await listenSession("tls://127.0.0.1:0", options)),
    wss: t.watch(await listenSession("wss://127.0.0.1:0/", options)),
  };
  const handle = serveWebSocket({ resume, session: { keepAlive } });
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", cert, key, onListen() {} },
    handle,
  );
  t.defer(async () => {
    await handle.listener.close();
    await server.shutdown();
  });
  const portOf = (addr: string) =>
    Number(new URL(addr.replace(/^\w+/, "http")).port);
  let cuts = 0;
  await forSeeds(4, async (random) => {
    const expected = await runWithoutCuts(random.seed);
    const faults = random.fork();
    const planned = cutsOf(faults, 2 * sizeOf(random.seed));
    const places = [
      ...Object.entries(listeners).map(([name, { addr }]) => ({
        name,
        port: portOf(addr),
      })),
      { name: "wss", port: server.addr.port },
    ];
    const relays = places.map(({ port }) =>
      new CuttingRelay(port, planned.plan, planned.onCut)
    );
    const addresses = places.map(({ name }, i) =>
      `${name}://127.0.0.1:${relays[i]!.port}/`.replace(
        /^(tcp|tls)(.*)\/$/,
        "$1$2",
      )
    );
    // The server of HTTP makes peers, and not sessions: it only carries them on.
    const begun = faults.int(0, 2);
    const listener = Object.values(listeners)[begun]!;
    try {
      const outcome = await runDialed(
        random.seed,
        listener,
        () =>
          dialSession(addresses[begun]!, {
            tls: { ca: authority.cert },
            session: { keepAlive },
            resume: { addresses: () => faults.pick(addresses) },
          }),
      );
      assertEquals(outcome, expected);
    } finally {
      for (const relay of relays) relay[Symbol.dispose]();
    }
    cuts += planned.cuts();
  });
  await until(() => resume.sessions === 0);
  assertEquals(resume.detached, 0);
  // The test is no test if nothing is cut.
  if (runsAllSeeds()) assert(cuts > 1, String(cuts));
});
