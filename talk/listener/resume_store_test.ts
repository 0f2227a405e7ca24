import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ResumeError, resumeStore } from "../../mux/mod.ts";
import { Relay } from "../../tests/resume/relay.ts";
import { service } from "../../tests/resume/service.ts";
import { test } from "../../tests/support/harness.ts";
import { until, within } from "../../tests/support/within.ts";
import { dial, listen, type ResumeState } from "../mod.ts";
import {
  serveWebSocket,
  type ServeWebSocketOptions,
  type WebSocketHandler,
} from "./serve_websocket.ts";

const LOCAL = "tcp://127.0.0.1:0";

/** A server of WebSockets, and its port. */
function serve(
  t: { defer(close: () => Promise<void>): void },
  options: ServeWebSocketOptions,
): { handle: WebSocketHandler; port: number } {
  const handle = serveWebSocket(options);
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    handle,
  );
  t.defer(async () => {
    await handle.listener.close();
    await server.shutdown();
  });
  return { handle, port: server.addr.port };
}

/** Hears of states, and waits for the next that a test names. */
function watched() {
  const states: ResumeState[] = [];
  const waiting = new Set<() => void>();
  return {
    states,
    onState(state: ResumeState) {
      states.push(state);
      for (const look of waiting) look();
    },
    /** Resolves when the session has its connection number `resumed`, from 0. */
    connected(resumed: number): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = () => {
        const state = states.at(-1);
        if (state?.name !== "connected" || state.resumed < resumed) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
      return within(promise, `connection ${resumed}`);
    },
  };
}

function portOf(addr: string): number {
  return Number(new URL(addr).port);
}

test("serveWebSocket(): with resume, a call survives the connection that it was made on", async (t) => {
  const { handler, answer } = service();
  let admitted = 0;
  const { port } = serve(t, {
    handler,
    resume: {},
    onPeer: () => void admitted++,
  });
  const relay = new Relay(() => port);
  t.defer(() => relay[Symbol.dispose]());
  const { states, onState, connected } = watched();
  const peer = t.watch(
    await dial(`ws://127.0.0.1:${relay.port}/`, { resume: { onState } }),
  );
  const waiting = peer.call("wait");
  assertEquals(await peer.call("echo", 1), 1);
  relay.cut();
  const during = peer.call("echo", "x".repeat(100_000));
  await connected(1);
  answer("at last");
  assertEquals(await within(waiting, "the call"), "at last");
  assertEquals(await during, "x".repeat(100_000));
  assertEquals(states.map(({ name }) => name), [
    "connected",
    "detached",
    "connected",
  ]);
  assertEquals(admitted, 1, "it is the same peer");
});

test("serveWebSocket(): with resume, plain peers are served, whichever end calls first", async (t) => {
  const { handle, port } = serve(t, {
    ...service(),
    resume: {},
    onPeer: async (peer) => {
      assertEquals(await peer.call("name"), "Ann");
    },
  });
  t.watch(handle.listener);
  const peer = t.watch(
    await dial(`ws://127.0.0.1:${port}/`, {
      handler: (_call, respond) => respond.return("Ann"),
    }),
  );
  assertEquals(await peer.call("echo", 1), 1);
});

test("serveWebSocket(): with resume, authenticate is asked about every connection of a session", async (t) => {
  const asked: (string | null)[] = [];
  let token = "first";
  const { port } = serve(t, {
    ...service(),
    resume: {},
    authenticate({ headers }) {
      asked.push(headers.get("x-token"));
      return headers.get("x-token") !== "wrong";
    },
  });
  const relay = new Relay(() => port);
  t.defer(() => relay[Symbol.dispose]());
  const { onState, connected } = watched();
  const peer = t.watch(
    await dial(`ws://127.0.0.1:${relay.port}/`, {
      headers: () => {
        const headers = { "x-token": token };
        token = token === "first" ? "wrong" : "third";
        return headers;
      },
      resume: { onState },
    }),
  );
  relay.cut();
  await connected(1);
  assertEquals(await peer.call("echo", 1), 1);
  assertEquals(asked, ["first", "wrong", "third"]);
});

test("serveWebSocket(): an option of resume out of range is a RangeError at once", () => {
  assertThrows(
    () => serveWebSocket({ resume: { maxDetached: -1 } }),
    RangeError,
    "maxDetached",
  );
  assertThrows(() => resumeStore({ timeout: NaN }), RangeError, "timeout");
});

test("serveWebSocket(): with resume, a handler that is closed at once has ended", async () => {
  const { listener } = serveWebSocket({ resume: {} });
  await within(listener.close(), "the end");
  assertEquals(await listener.closed, undefined);
});

test("resumeStore(): a session moves from TCP to a WebSocket of Deno.serve(), and back", async (t) => {
  const resume = resumeStore();
  const { handler, answer } = service();
  const peers = { tcp: 0, ws: 0 };
  const listener = t.watch(
    await listen(LOCAL, { handler, resume, onPeer: () => void peers.tcp++ }),
  );
  const { port } = serve(t, {
    handler,
    resume,
    onPeer: () => void peers.ws++,
  });
  const tcp = new Relay(() => portOf(listener.addr));
  const ws = new Relay(() => port);
  for (const relay of [tcp, ws]) t.defer(() => relay[Symbol.dispose]());
  const { onState, connected } = watched();
  const peer = t.watch(
    await dial(`tcp://127.0.0.1:${tcp.port}`, {
      resume: {
        onState,
        addresses: [
          `ws://127.0.0.1:${ws.port}/`,
          `tcp://127.0.0.1:${tcp.port}`,
        ],
      },
    }),
  );
  const waiting = peer.call("wait");
  assertEquals(await peer.call("echo", "over TCP"), "over TCP");
  assertEquals([resume.sessions, resume.detached], [1, 0]);
  tcp.cut();
  await connected(1);
  assertEquals(await peer.call("echo", "over WebSocket"), "over WebSocket");
  assertEquals([tcp.accepted, ws.accepted], [1, 1]);
  ws.cut();
  await connected(2);
  answer("at last");
  assertEquals(await within(waiting, "the call"), "at last");
  assertEquals([tcp.accepted, ws.accepted], [2, 1]);
  assertEquals(peers, { tcp: 1, ws: 0 }, "it stays the peer of its listener");
  assertEquals(resume.sessions, 1);
  await peer.close();
  await until(() => resume.sessions === 0);
});

test("resumeStore(): a session that has begun over a WebSocket goes on over TCP", async (t) => {
  const resume = resumeStore();
  const { handler } = service();
  const { port } = serve(t, { handler, resume });
  const listener = t.watch(await listen(LOCAL, { handler, resume }));
  const ws = new Relay(() => port);
  t.defer(() => ws[Symbol.dispose]());
  const { onState, connected } = watched();
  const peer = t.watch(
    await dial(`ws://127.0.0.1:${ws.port}/`, {
      resume: { onState, addresses: [listener.addr] },
    }),
  );
  ws.cut();
  await connected(1);
  assertEquals(await peer.call("echo", 1), 1);
  assertEquals(ws.accepted, 1);
});

test("resumeStore(): a listener that is closed leaves the sessions of others to them", async (t) => {
  const resume = resumeStore();
  const { handler } = service();
  const home = t.watch(await listen(LOCAL, { handler, resume }));
  const other = await listen(LOCAL, { handler, resume });
  const relay = new Relay(() => portOf(home.addr));
  t.defer(() => relay[Symbol.dispose]());
  const { onState, connected } = watched();
  const peer = t.watch(
    await dial(`tcp://127.0.0.1:${relay.port}`, {
      resume: { onState, addresses: [other.addr, home.addr] },
    }),
  );
  relay.cut();
  await connected(1);
  const call = peer.call("echo", 1);
  await within(other.close(), "the end of the other listener");
  await connected(2);
  assertEquals(await call, 1);
  assertEquals(await peer.call("echo", 2), 2);
});

test("resumeStore(): a session ends with the listener at which it has begun", async (t) => {
  const resume = resumeStore();
  const { handler } = service();
  const home = await listen(LOCAL, { handler, resume });
  const other = t.watch(await listen(LOCAL, { handler, resume }));
  const relay = new Relay(() => portOf(home.addr));
  t.defer(() => relay[Symbol.dispose]());
  // There is nowhere to go on, until the listener is closed.
  let addresses = [`tcp://127.0.0.1:${relay.port}`];
  const lost = Promise.withResolvers<unknown>();
  const peer = await dial(`tcp://127.0.0.1:${relay.port}`, {
    resume: {
      addresses: () => addresses,
      onState(state) {
        if (state.name === "closed") lost.resolve(state.error);
      },
    },
  });
  assertEquals(await peer.call("echo", 1), 1);
  relay[Symbol.dispose]();
  await until(() => resume.detached !== 0);
  await within(home.close(), "the end of its listener");
  assertEquals([resume.sessions, resume.detached], [0, 0]);
  addresses = [other.addr];
  const error = await within(lost.promise, "the end of the session");
  assert(error instanceof ResumeError, String(error));
  assertEquals(error.reason, "unknown-session");
  await assertRejects(() => peer.call("echo", 2));
  await peer.close();
});

test("resumeStore(): its limits are those of all listeners together", async (t) => {
  const resume = resumeStore({ maxDetached: 1 });
  const { handler } = service();
  const { port } = serve(t, { handler, resume });
  const listener = t.watch(await listen(LOCAL, { handler, resume }));
  const relays = [portOf(listener.addr), port].map((port) =>
    new Relay(() => port)
  );
  for (const relay of relays) t.defer(() => relay[Symbol.dispose]());
  const [tcp, ws] = relays;
  const peers = [
    await dial(`tcp://127.0.0.1:${tcp!.port}`, { resume: {} }),
    await dial(`ws://127.0.0.1:${ws!.port}/`, { resume: {} }),
  ];
  for (const peer of peers) assertEquals(await peer.call("echo", 1), 1);
  assertEquals(resume.sessions, 2);
  for (const [i, relay] of relays.entries()) {
    relay[Symbol.dispose]();
    await until(() => resume.detached >= 1 && resume.sessions <= 2 - i);
  }
  assertEquals([resume.sessions, resume.detached], [1, 1]);
  await Promise.all(peers.map((peer) => peer.close()));
});
