import { dialSession, listenSession, type ResumeState } from "@qtalk/qtalk";
import { resumeStore } from "@qtalk/qtalk/mux";
import { assert, assertEquals } from "@std/assert";
import { test } from "../support/harness.ts";
import { loopbackCertificate } from "../support/quic.ts";
import { forSeeds, runsAllSeeds } from "../support/random.ts";
import { until } from "../support/within.ts";
import { DatagramRelay } from "./datagram_relay.ts";
import { runDialed, runWithoutCuts } from "./random_session.ts";
import { Relay } from "./relay.ts";

/** How soon the dialer notices a silence. */
const keepAlive = { interval: 500, timeout: 500 };
/**
 * How soon the listener does. QUIC applies it at both ends, also while a connection is
 * being made, and a busy machine may stand still for a second.
 */
const patient = { keepAlive: { interval: 500, timeout: 9_500 } };

function portOf(addr: string): number {
  return Number(new URL(addr.replace(/^\w+/, "http")).port);
}

test("resume: over wt:, and from there to tcp: and back, random sessions carry what they carry without cuts", async (t) => {
  const { cert, key, fingerprint } = await loopbackCertificate();
  const resume = resumeStore();
  const session = { keepAlive };
  const wt = t.watch(
    await listenSession("wt://127.0.0.1:0/", {
      resume,
      session: patient,
      tls: { cert, key },
    }),
  );
  const tcp = t.watch(
    await listenSession("tcp://127.0.0.1:0", { resume, session }),
  );
  let cuts = 0;
  await forSeeds(4, async (random) => {
    const expected = await runWithoutCuts(random.seed);
    const faults = random.fork();
    const relays = [
      new DatagramRelay(portOf(wt.addr)),
      new Relay(() => portOf(tcp.addr)),
    ] as const;
    const addresses = [
      `wt://127.0.0.1:${relays[0].port}/`,
      `tcp://127.0.0.1:${relays[1].port}`,
    ] as const;
    let cutsLeft = faults.int(2, 6);
    /** What passes before the next cut. */
    let untilCut = Infinity;
    /** Whether there is a connection, and it is not cut. */
    let isWhole = false;
    const onState = ({ name }: ResumeState) => {
      isWhole = name === "connected";
      // A connection that is being made is not cut: Deno leaves streams open then.
      const isCut = name === "connected" && cutsLeft > 0;
      untilCut = isCut ? faults.int(1, 15) : Infinity;
    };
    const onPassed = () => {
      if (--untilCut > 0) return;
      untilCut = Infinity;
      isWhole = false;
      cutsLeft--;
      cuts++;
      for (const relay of relays) relay.cut();
    };
    for (const relay of relays) relay.onPassed = onPassed;
    // A session that is closed while a connection is being made gives up the attempt,
    // which goes on in Deno for up to ten seconds, and would outlive the test.
    const settled = async () => {
      cutsLeft = 0;
      untilCut = Infinity;
      await until(() => isWhole, "a connection that is not cut");
    };
    try {
      const outcome = await runDialed(
        random.seed,
        wt,
        () =>
          dialSession(addresses[0], {
            tls: { pin: fingerprint },
            session,
            resume: { addresses: () => faults.pick([...addresses]), onState },
          }),
        settled,
      );
      assertEquals(outcome, expected);
    } finally {
      for (const relay of relays) relay[Symbol.dispose]();
    }
  });
  await until(() => resume.sessions === 0);
  assertEquals(resume.detached, 0);
  // The test is no test if nothing is cut.
  if (runsAllSeeds()) assert(cuts > 0);
});
