import { handlerFrom, listen, type Responder, Router } from "@qtalk/qtalk";
import { rendezvousService } from "@qtalk/qtalk/rendezvous";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import { until } from "../../../tests/support/within.ts";
import { SELECTORS } from "../wire.ts";
import {
  assertRefused,
  bob,
  call,
  meet,
  refused,
  relayed,
  relaying,
  serve,
  trust,
} from "../../../tests/support/rendezvous.ts";

test("rendezvousService: names, relays and relayed bytes are limited", async (t) => {
  const names = await meet(t, rendezvousService({ maxNames: 1 }));
  const address = await serve(t, names);
  await refused(
    listen(`peer:carol@${names}`, { tls: bob, rendezvous: trust }),
    "limit-exceeded",
  );
  await t.watch(await call(address)).call("add", [1, 2]);

  const none = await serve(
    t,
    await meet(t, rendezvousService({ maxRelays: 0 })),
  );
  await refused(call(none, { rendezvous: relayed }), "limit-exceeded");

  const service = rendezvousService({ maxRelayedSize: 100_000 });
  const small = await serve(t, await meet(t, service), bob, {
    handler: handlerFrom({ echo: (text: string) => text }),
  });
  const peer = await call(small, { rendezvous: relayed });
  assertEquals(await peer.call("echo", ["x"]), "x");
  await assertRejects(() => peer.call("echo", ["x".repeat(200_000)]));
  await peer.close();
  assert(service.stats.relayedBytes < 400_000, "the relay has ended");
});

for (const limit of ["maxRelays", "maxRelaysPerName"] as const) {
  test(`rendezvousService: beyond ${limit}, the relay that was silent for longest gives way`, async (t) => {
    const { service, clock, ask } = await relaying(t, { [limit]: 2 });
    const silent = (await ask(SELECTORS.relay)).channel!;
    const used = (await ask(SELECTORS.relay)).channel!;
    clock.now = 15_000;
    const writer = used.writable.getWriter();
    await writer.write(new Uint8Array(1));
    await until(() => service.stats.relayedBytes === 2);
    clock.now = 29_999;
    await assertRefused(ask(SELECTORS.relay), "limit-exceeded");
    clock.now = 30_000;
    const third = (await ask(SELECTORS.relay)).channel!;
    assertEquals(service.stats.relays, 2);
    await silent.closed;
    await assertRefused(ask(SELECTORS.relay), "limit-exceeded");
    await writer.write(new Uint8Array(1));
    await until(() => service.stats.relayedBytes === 4);
    await Promise.all([used.close(), third.close()]);
    await until(() => service.stats.relays === 0);
  });
}

test("rendezvousService: a relay whose answer the dialing peer does not take gives way, too", async (t) => {
  const asked = Promise.withResolvers<void>();
  const room = Promise.withResolvers<void>();
  let relays = 0;
  const { service, clock, ask } = await relaying(
    t,
    { maxRelays: 1 },
    (service) => {
      const router = new Router();
      router.handle("/", service);
      router.handle(SELECTORS.relay, (call, respond) => {
        if (relays++ > 0) return service.respond(call, respond);
        const waiting = {
          async continue() {
            asked.resolve();
            await room.promise;
            return await respond.continue();
          },
        };
        return service.respond(call, waiting as Responder);
      });
      return router;
    },
  );
  const first = ask(SELECTORS.relay);
  await asked.promise;
  clock.now = 29_999;
  await assertRefused(ask(SELECTORS.relay), "limit-exceeded");
  clock.now = 30_000;
  const second = (await ask(SELECTORS.relay)).channel!;
  assertEquals(service.stats.relays, 1);
  // The one that gave way leads nowhere.
  room.resolve();
  await (await first).channel!.closed;
  await second.close();
  await until(() => service.stats.relays === 0);
});
