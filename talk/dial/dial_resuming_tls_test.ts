import { assert, assertEquals, assertRejects } from "@std/assert";
import { resumeStore } from "../../mux/mod.ts";
import { CuttingRelay } from "../../tests/resume/cutting_relay.ts";
import { Relay } from "../../tests/resume/relay.ts";
import { service } from "../../tests/resume/service.ts";
import { makeAuthority } from "../../tests/support/certificates.ts";
import { test } from "../../tests/support/harness.ts";
import { within } from "../../tests/support/within.ts";
import {
  dial,
  listen,
  type ResumeState,
  TalkError,
  TlsError,
  type TlsInfo,
} from "../mod.ts";

const ca = await makeAuthority("test authority");
const names = ["localhost", "127.0.0.1"];
const { cert, key } = await ca.issue("CN=server", { names });
const ann = await ca.issue("CN=Ann");

/** Hears of states, and waits for a connection. */
function watched() {
  const connections = [0, 1, 2].map(() => Promise.withResolvers<void>());
  return {
    onState(state: ResumeState) {
      if (state.name === "connected") connections[state.resumed]?.resolve();
    },
    connected: (resumed: number) =>
      within(connections[resumed]!.promise, `connection ${resumed}`),
  };
}

function portOf(addr: string): number {
  return Number(new URL(addr.replace(/^\w+/, "http")).port);
}

test("dial(): with resume, a call survives a cut of tls:, goes on over wss:, and over tls: again", async (t) => {
  const resume = resumeStore();
  const { handler, answer } = service();
  const options = { handler, resume, tls: { cert, key } };
  const tls = t.watch(await listen("tls://127.0.0.1:0", options));
  const wss = t.watch(await listen("wss://127.0.0.1:0/", options));
  const relays = [tls, wss].map(({ addr }) => new Relay(() => portOf(addr)));
  for (const relay of relays) t.defer(() => relay[Symbol.dispose]());
  const [first, second] = relays as [Relay, Relay];
  const addresses = [
    `wss://127.0.0.1:${second.port}/`,
    `tls://127.0.0.1:${first.port}`,
  ];
  const { onState, connected } = watched();
  const peer = t.watch(
    await dial(addresses[1]!, {
      tls: { ca: ca.cert },
      resume: { onState, addresses },
    }),
  );
  const waiting = peer.call("wait");
  assertEquals(await peer.call("echo", "over TLS"), "over TLS");
  first.cut();
  await connected(1);
  assertEquals(await peer.call("echo", "over wss"), "over wss");
  assertEquals([first.accepted, second.accepted], [1, 1]);
  second.cut();
  await connected(2);
  answer("at last");
  assertEquals(await within(waiting, "the call"), "at last");
  assertEquals([first.accepted, second.accepted], [2, 1]);
});

test("dial(): with resume, each connection of tls: needs a certificate if clients do", async (t) => {
  const { handler } = service();
  const infos: (TlsInfo | undefined)[] = [];
  const listener = t.watch(
    await listen("tls://127.0.0.1:0", {
      handler,
      resume: {},
      tls: { cert, key, ca: ca.cert, clientCert: "required" },
      accept({ tls }) {
        infos.push(tls);
        return true;
      },
      onError() {},
    }),
  );
  const relay = new Relay(() => portOf(listener.addr));
  t.defer(() => relay[Symbol.dispose]());
  const { onState, connected } = watched();
  const own = { ca: ca.cert, cert: ann.cert, key: ann.key };
  // The second connection has none, and is refused.
  const certificates = [own, { ca: ca.cert }];
  const peer = t.watch(
    await dial(`tls://127.0.0.1:${relay.port}`, {
      tls: () => certificates.shift() ?? own,
      resume: { onState },
    }),
  );
  relay.cut();
  await connected(1);
  assertEquals(await peer.call("echo", 1), 1);
  assertEquals(relay.accepted, 3);
  assertEquals(
    infos.map((tls) => tls?.peerCertificate?.subject),
    ["CN=Ann", "CN=Ann"],
  );
});

test("dial(): with resume, a certificate that is not trusted at the only address does not end the session", async (t) => {
  const { handler } = service();
  const options = { handler, resume: {}, onError() {} };
  const listener = t.watch(
    await listen("tls://127.0.0.1:0", { ...options, tls: { cert, key } }),
  );
  const other = await makeAuthority("another authority");
  const tls = await other.issue("CN=server", { names });
  const stranger = t.watch(
    await listen("tls://127.0.0.1:0", { ...options, tls }),
  );
  // The second connection leads to the stranger, as in a network that wants a login.
  const targets = [listener, stranger, listener].map(({ addr }) =>
    portOf(addr)
  );
  const relay = new Relay(() => targets.shift()!);
  t.defer(() => relay[Symbol.dispose]());
  const { onState, connected } = watched();
  const peer = t.watch(
    await dial(`tls://127.0.0.1:${relay.port}`, {
      tls: { ca: ca.cert },
      resume: { onState },
    }),
  );
  relay.cut();
  await connected(1);
  assertEquals(await peer.call("echo", 1), 1);
  assertEquals(relay.accepted, 3);
});

for (
  const [client, server, code] of [
    ["tcp", "tls", "unexpected-tls"],
    ["tcp", "wss", "unexpected-tls"],
    ["ws", "wss", "unexpected-tls"],
    ["tls", "tcp", "not-tls"],
    ["wss", "ws", "not-tls"],
  ] as const
) {
  test(`dial(): with resume, a client of ${client}: gives up at a listener of ${server}:, and knows why`, async (t) => {
    const { handler } = service();
    const listener = t.watch(
      await listen(`${server}://127.0.0.1:0`, {
        handler,
        resume: {},
        onError() {},
        ...server !== "tcp" && server !== "ws" && { tls: { cert, key } },
      }),
    );
    const states: string[] = [];
    const error = await assertRejects(
      () =>
        dial(listener.addr.replace(`${server}:`, `${client}:`), {
          ...client !== "tcp" && client !== "ws" && { tls: { ca: ca.cert } },
          resume: {},
          reconnect: {
            minDelay: 1,
            maxAttempts: 3,
            onState: ({ name }) => states.push(name),
          },
        }),
      TalkError,
    );
    assert(error.cause instanceof TlsError, `${error.cause}`);
    assertEquals(error.cause.code, code);
    assertEquals(states, ["connecting", "closed"]);
  });
}

for (const scheme of ["tls", "wss"]) {
  test(`keepAlive: over ${scheme}:, a peer that has vanished is noticed, although this side can still write`, async (t) => {
    const keepAlive = { interval: 500, timeout: 500 };
    const { handler } = service();
    const listener = await listen(`${scheme}://127.0.0.1:0`, {
      handler,
      tls: { cert, key },
      session: { keepAlive },
    });
    let silent: () => void = () => {};
    const cut = new Promise<void>((resolve) => silent = resolve);
    const relay = new CuttingRelay(
      portOf(listener.addr),
      () => ({ after: 60_000, cut: "silence" }),
      silent,
    );
    t.defer(() => relay[Symbol.dispose]());
    const path = scheme === "wss" ? "/" : "";
    const peer = await dial(`${scheme}://127.0.0.1:${relay.port}${path}`, {
      tls: { ca: ca.cert },
      session: { keepAlive },
    });
    assertEquals(await peer.call("echo", 1), 1);
    const call = assertRejects(() => peer.call("echo", "x".repeat(70_000)));
    await within(cut, "the silence");
    const error = await within(
      peer.closed.then(() => {}, (error: Error) => error),
      "the end of the session",
    );
    assert(error?.message.includes("keepAlive"), String(error));
    await call;
    await Promise.all([peer.close(), listener.close()]);
  });
}
