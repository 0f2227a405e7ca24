import { type Caller, handlerFrom, Peer, Router } from "@qtalk/qtalk";
import { rendezvousService } from "@qtalk/qtalk/rendezvous";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import { until } from "../../../tests/support/within.ts";
import { type PeerTransport, sessionOver } from "../../../mux/internal.ts";
import { dialPeer } from "../dial.ts";
import { SELECTORS } from "../wire.ts";
import {
  ann,
  bob,
  call,
  meet,
  relayed,
  serve,
  trust,
} from "../../../tests/support/rendezvous.ts";

test("peer: a relayed session moves to a direct way without losing a byte", async (t) => {
  const service = rendezvousService();
  // At first, the dialing peer learns of no place of the other one.
  let meetings = 0;
  const moves = Promise.withResolvers<void>();
  const router = new Router();
  router.handle("/", service);
  router.handle(SELECTORS.meet, async (call, respond) => {
    if (++meetings > 2) {
      await moves.promise;
      return await service.respond(call, respond);
    }
    await call.receive();
    return await respond.return({ seen: null, local: [] });
  });
  const ends: Peer[] = [];
  const address = await serve(t, await meet(t, router), bob, {
    handler: handlerFrom({ echo: (text: string) => text }),
    onPeer: (peer) => void ends.push(peer),
  });
  const transport = await dialPeer(
    address.slice("peer:".length),
    new AbortController().signal,
    { tls: ann, rendezvous: { ...trust, directTimeout: 30_000 } },
    [0, 0],
  );
  const way = () => (transport as PeerTransport).way;
  const peer = t.watch(new Peer(sessionOver(transport), { onError() {} }));
  assertEquals(await peer.call("echo", ["x"]), "x");
  assertEquals([way(), ends[0]!.way], ["relayed", "relayed"]);
  assertEquals(service.stats.relays, 1);
  // Calls in both directions go on while it moves.
  const text = "0123456789".repeat(50_000);
  const calls: Promise<unknown>[] = [];
  let count = 0;
  const more = () => {
    while (calls.length < 4) {
      const mine = `${count++} ${text}`;
      const call = peer.call("echo", [mine]).then((value) => {
        assertEquals(value === mine, true, "the text is as it was");
        calls.splice(calls.indexOf(call), 1);
      });
      calls.push(call);
    }
  };
  more();
  moves.resolve();
  while (way() !== "direct" || ends[0]!.way !== "direct") {
    await Promise.race(calls);
    more();
  }
  await Promise.all(calls);
  // The relayed connection has ended, and new bytes do not pass the rendezvous.
  await until(() => service.stats.relays === 0);
  const { relayedBytes } = service.stats;
  assertEquals(await peer.call("echo", [text]), text);
  assertEquals(service.stats.relayedBytes, relayedBytes);
  assertEquals(meetings, 3);
});

test("peer: what a rendezvous relays cannot be read, and one changed byte ends it", async (t) => {
  const service = rendezvousService();
  const seen: Uint8Array[] = [];
  let changes = false;
  let listening: Caller | undefined;
  const tap = () =>
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        const copy = chunk.slice();
        seen.push(chunk.slice());
        if (changes) copy[copy.length - 1]! ^= 1;
        controller.enqueue(copy);
      },
    });
  const router = new Router();
  for (const selector of [SELECTORS.challenge, SELECTORS.meet]) {
    router.handle(selector, service);
  }
  router.handle(SELECTORS.register, (call, respond) => {
    listening = call.caller;
    return service.respond(call, respond);
  });
  router.handle(SELECTORS.relay, async (call, respond) => {
    await call.receive();
    const far = await listening!.request(SELECTORS.stream, []);
    const near = await respond.continue();
    await Promise.allSettled([
      near.readable.pipeThrough(tap()).pipeTo(far.channel!.writable),
      far.channel!.readable.pipeThrough(tap()).pipeTo(near.writable),
    ]);
  });
  const secret = "the secret of Ann and Bob";
  const address = await serve(t, await meet(t, router), bob, {
    handler: handlerFrom({ echo: (text: string) => text }),
  });
  const peer = await call(address, { rendezvous: relayed });
  assertEquals(await peer.call("echo", [secret]), secret);
  const text = seen.map((bytes) => new TextDecoder("latin1").decode(bytes))
    .join("");
  assert(text.length > 1_000, `${text.length} bytes were relayed`);
  for (const plain of [secret, "echo", "CN=ann"]) {
    assert(!text.includes(plain), `"${plain}" can be read`);
  }
  changes = true;
  await assertRejects(() => peer.call("echo", [secret]));
  await assertRejects(() => peer.closed);
  await peer.close();
});
