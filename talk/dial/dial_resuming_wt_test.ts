import { assert, assertEquals } from "@std/assert";
import { resumeStore } from "../../mux/mod.ts";
import { DatagramRelay } from "../../tests/resume/datagram_relay.ts";
import { Relay } from "../../tests/resume/relay.ts";
import { service } from "../../tests/resume/service.ts";
import { test } from "../../tests/support/harness.ts";
import { loopbackCertificate } from "../../tests/support/quic.ts";
import { within } from "../../tests/support/within.ts";
import { dial, listen, type ResumeState } from "../mod.ts";

const { cert, key, fingerprint } = await loopbackCertificate();
const session = { keepAlive: { interval: 500, timeout: 500 } };

function portOf(addr: string): number {
  return Number(new URL(addr.replace(/^\w+/, "http")).port);
}

/** Hears of states, and waits for a connection. */
function watched() {
  const connections = [0, 1, 2].map(() => Promise.withResolvers<void>());
  const states: ResumeState[] = [];
  return {
    states,
    onState(state: ResumeState) {
      states.push(state);
      if (state.name === "connected") connections[state.resumed]?.resolve();
    },
    connected: (resumed: number) =>
      within(connections[resumed]!.promise, `connection ${resumed}`),
  };
}

test("dial(): with resume, a call survives a network that swallows the datagrams of wt:", async (t) => {
  const { handler, answer } = service();
  const listener = t.watch(
    await listen("wt://127.0.0.1:0/rpc", {
      handler,
      resume: {},
      tls: { cert, key },
      session,
    }),
  );
  const relay = new DatagramRelay(portOf(listener.addr));
  t.defer(() => relay[Symbol.dispose]());
  const { states, onState, connected } = watched();
  const peer = t.watch(
    await dial(`wt://127.0.0.1:${relay.port}/rpc`, {
      tls: { pin: fingerprint },
      resume: { onState },
      session,
    }),
  );
  const waiting = peer.call("wait");
  assertEquals(await peer.call("echo", 1), 1);
  relay.cut();
  const during = peer.call("echo", 2);
  await connected(1);
  answer("at last");
  assertEquals(await within(waiting, "the call"), "at last");
  assertEquals(await within(during, "the call during the cut"), 2);
  assert(states.some(({ name }) => name === "detached"));
  assert(relay.accepted >= 2);
});

test("dial(): with resume, a session goes on from wt: over tcp:, and over wt: again", async (t) => {
  const { handler, answer } = service();
  const resume = resumeStore();
  const options = { handler, resume, session };
  const wt = t.watch(
    await listen("wt://127.0.0.1:0/rpc", { ...options, tls: { cert, key } }),
  );
  const tcp = t.watch(await listen("tcp://127.0.0.1:0", options));
  const datagrams = new DatagramRelay(portOf(wt.addr));
  const relay = new Relay(() => portOf(tcp.addr));
  t.defer(() => datagrams[Symbol.dispose]());
  t.defer(() => relay[Symbol.dispose]());
  const addresses = [
    `tcp://127.0.0.1:${relay.port}`,
    `wt://127.0.0.1:${datagrams.port}/rpc`,
  ];
  const { onState, connected } = watched();
  const peer = t.watch(
    await dial(addresses[1]!, {
      tls: { pin: fingerprint },
      resume: { onState, addresses },
      session,
    }),
  );
  const waiting = peer.call("wait");
  assertEquals(await peer.call("echo", "over wt"), "over wt");
  datagrams.cut();
  await connected(1);
  assertEquals(await peer.call("echo", "over TCP"), "over TCP");
  assert(relay.accepted >= 1);
  relay.cut();
  await connected(2);
  answer("at last");
  assertEquals(await within(waiting, "the call"), "at last");
  assert(datagrams.accepted >= 2);
});
