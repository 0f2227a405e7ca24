import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  dial,
  listen,
  memoryTransports,
  TalkError,
  type Transport,
} from "@qtalk/qtalk";
import { test } from "../../tests/support/harness.ts";
import { loopbackCertificate } from "../../tests/support/quic.ts";
import { turn, watch } from "../../tests/support/within.ts";
import { race } from "./race.ts";

/** Attempts that the test decides about, by address. */
function attempts() {
  const begun: string[] = [];
  const open = new Map<string, PromiseWithResolvers<Transport>>();
  const signals = new Map<string, AbortSignal>();
  return {
    begun,
    signals,
    attempt(address: string, signal: AbortSignal): Promise<Transport> {
      begun.push(address);
      signals.set(address, signal);
      const attempt = Promise.withResolvers<Transport>();
      open.set(address, attempt);
      return attempt.promise;
    },
    succeed(address: string): { transport: Transport; closed: () => boolean } {
      const [transport] = memoryTransports();
      let closed = false;
      const close = transport.close.bind(transport);
      transport.close = () => {
        closed = true;
        return close();
      };
      open.get(address)!.resolve(transport);
      return { transport, closed: () => closed };
    },
    fail(address: string, error: unknown = failed(address)): void {
      open.get(address)!.reject(error);
    },
  };
}

function failed(address: string, permanent = false): TalkError {
  const message = `Cannot dial "${address}": no`;
  return new TalkError("dial-failed", message, { permanent });
}

const NEVER = new AbortController().signal;

test("race(): each address has a head start, and the first connection wins", async (t) => {
  const clock = t.time();
  const { attempt, begun, signals, succeed } = attempts();
  const racing = race(["a", "b", "c"], {
    attempt,
    headStart: 250,
    signal: NEVER,
  });
  assertEquals(begun, ["a"]);
  clock.tick(249);
  assertEquals(begun, ["a"]);
  clock.tick(1);
  assertEquals(begun, ["a", "b"]);
  const { transport } = succeed("b");
  assertEquals(await racing, { transport, address: "b" });
  assertEquals(begun, ["a", "b"]);
  assertEquals([...signals.values()].map((signal) => signal.aborted), [
    true,
    true,
  ]);
});

test("race(): the next address is tried at once when the one before has failed", async (t) => {
  t.time();
  const { attempt, begun, fail, succeed } = attempts();
  const racing = race(["a", "b"], { attempt, headStart: 250, signal: NEVER });
  fail("a");
  await turn();
  assertEquals(begun, ["a", "b"]);
  succeed("b");
  assertEquals((await racing).address, "b");
});

test("race(): an earlier address may still win after its head start", async (t) => {
  const clock = t.time();
  const { attempt, succeed } = attempts();
  const racing = race(["a", "b"], { attempt, headStart: 250, signal: NEVER });
  clock.tick(250);
  succeed("a");
  assertEquals((await racing).address, "a");
});

test("race(): a connection that comes too late is closed", async (t) => {
  const clock = t.time();
  const { attempt, succeed } = attempts();
  const racing = race(["a", "b"], { attempt, headStart: 250, signal: NEVER });
  clock.tick(250);
  succeed("b");
  const late = succeed("a");
  assertEquals((await racing).address, "b");
  await turn();
  assertEquals(late.closed(), true);
});

test("race(): it fails when all attempts have, with every reason", async () => {
  const { attempt, fail } = attempts();
  const racing = race(["a", "b"], { attempt, headStart: 0, signal: NEVER });
  fail("a");
  await turn();
  fail("b");
  const error = await assertRejects(
    () => racing,
    TalkError,
    'Cannot dial any of 2 addresses: Cannot dial "a": no; Cannot dial "b": no',
  );
  assertEquals([error.code, error.permanent], ["dial-failed", false]);
  assertEquals((error.cause as AggregateError).errors.length, 2);
});

test("race(): it is permanent if all of the reasons are", async () => {
  const { attempt, fail } = attempts();
  const racing = race(["a", "b"], { attempt, headStart: 0, signal: NEVER });
  fail("a", failed("a", true));
  await turn();
  fail("b", failed("b", true));
  const error = await assertRejects(() => racing, TalkError);
  assertEquals(error.permanent, true);
});

test("race(): a malformed address fails at once, and the others are given up", async () => {
  const { attempt, fail, signals } = attempts();
  const racing = race(["a", "b"], { attempt, headStart: 1e9, signal: NEVER });
  const mistake = new TalkError("bad-address", "Cannot dial it");
  fail("a", mistake);
  assertStrictEquals(await racing.catch((error) => error), mistake);
  assertEquals(signals.get("a")!.aborted, true);
});

test("race(): its signal gives all attempts up", async (t) => {
  const clock = t.time();
  const { attempt, signals } = attempts();
  const abort = new AbortController();
  const racing = watch(
    race(["a", "b"], { attempt, headStart: 250, signal: abort.signal }),
  );
  clock.tick(250);
  const reason = new Error("changed my mind");
  abort.abort(reason);
  await turn();
  assertEquals(racing.state, "rejected");
  assertEquals(signals.get("b")!.aborted, true);
});

test("race(): a connection that is made as its signal aborts is closed", async () => {
  const { attempt, succeed } = attempts();
  const abort = new AbortController();
  const racing = watch(
    race(["a"], { attempt, headStart: 250, signal: abort.signal }),
  );
  const late = succeed("a");
  abort.abort(new Error("changed my mind"));
  await turn();
  assertEquals([racing.state, late.closed()], ["rejected", true]);
});

test("dial(): a list without addresses is refused", async () => {
  const error = await assertRejects(() => dial([]), TalkError);
  assertEquals(error.code, "bad-address");
});

test("dial(): of several addresses, it uses the first that it can connect to", async (t) => {
  const listener = t.watch(await listen("tcp://127.0.0.1:0"));
  const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = gone.addr;
  gone.close();
  const peer = t.watch(
    await dial([`tcp://127.0.0.1:${port}`, listener.addr]),
  );
  assertEquals(peer.addr, listener.addr);
});

test("dial(): a network that swallows UDP costs the head start of quic: and no more", async (t) => {
  const hole = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  t.defer(() => hole.close());
  const { port } = hole.addr as Deno.NetAddr;
  const { cert, key, authority } = await loopbackCertificate();
  const listener = t.watch(
    await listen("tls://127.0.0.1:0", { tls: { cert, key } }),
  );
  const before = performance.now();
  const states: string[] = [];
  const peer = t.watch(
    await dial([`quic://127.0.0.1:${port}`, listener.addr], {
      tls: { ca: authority.cert },
      headStart: 100,
      reconnect: {
        onState(state) {
          if (state.name === "connected") states.push(state.peer.addr);
        },
      },
    }),
  );
  const took = performance.now() - before;
  assertEquals(states, [listener.addr]);
  // Far less than the 27 s of QUIC, on a machine that is busy, too.
  assertEquals([took >= 95, took < 20_000], [true, true], `${took} ms`);
  await peer.close();
});

test("dial(): quic: is preferred where it answers", async (t) => {
  const { cert, key, authority } = await loopbackCertificate();
  const tls = { cert, key };
  const quic = t.watch(await listen("quic://127.0.0.1:0", { tls }));
  const other = t.watch(await listen("tls://127.0.0.1:0", { tls }));
  const peer = t.watch(
    await dial([quic.addr, other.addr], {
      tls: { ca: authority.cert },
      headStart: 5_000,
    }),
  );
  assertEquals(peer.addr, quic.addr);
});
