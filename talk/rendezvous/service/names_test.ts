import { listen, memoryPair } from "@qtalk/qtalk";
import { rendezvousService } from "@qtalk/qtalk/rendezvous";
import { assertEquals } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import { until } from "../../../tests/support/within.ts";
import { Service } from "./service.ts";
import {
  assertRefused,
  bob,
  mallory,
  meet,
  register,
  serve,
  trust,
} from "../../../tests/support/rendezvous.ts";

test("peer: the name of a peer that was lost is kept for its key", async (t) => {
  let now = 0;
  const service = new Service({ nameGrace: 1_000 }, () => now);
  const connect = () => {
    const [client, server] = memoryPair({}, { handler: service });
    t.watch(server);
    return t.watch(client);
  };
  const first = connect();
  await register(first, bob);
  await first.close();
  await until(() => service.stats.names === 0);
  const other = connect();
  await assertRefused(register(other, mallory), "name-taken");
  now = 999;
  await assertRefused(register(other, mallory), "name-taken");
  // The time begins again when the peer is lost again.
  const second = connect();
  await register(second, bob);
  assertEquals(service.stats.names, 1);
  await second.close();
  await until(() => service.stats.names === 0);
  now = 1_998;
  await assertRefused(register(other, mallory), "name-taken");
  now = 1_999;
  await register(other, mallory);
  await assertRefused(register(connect(), bob), "name-taken");
});

test("peer: a name that its peer has given up is free at once", async (t) => {
  const service = new Service({}, () => 0);
  const [client, server] = memoryPair({}, { handler: service });
  t.watch(server);
  t.watch(client);
  const response = await register(client, bob);
  await response.close();
  await until(() => service.stats.names === 0);
  const again = await register(client, mallory);
  assertEquals(service.stats.names, 1);
  await again.close();

  const rendezvous = await meet(t);
  const listener = await listen(`peer:bob@${rendezvous}`, {
    tls: bob,
    rendezvous: trust,
  });
  await listener.close();
  await serve(t, rendezvous, mallory);
});

test("rendezvousService: of two keys that ask for a name at once, one gets it", async (t) => {
  const service = rendezvousService();
  const pairs = [bob, mallory].map(() =>
    memoryPair({}, { handler: service }).map((peer) => t.watch(peer))
  );
  const [one, two] = await Promise.allSettled([
    register(pairs[0]![0]!, bob),
    register(pairs[1]![0]!, mallory),
  ]);
  assertEquals([one.status, two.status].sort(), ["fulfilled", "rejected"]);
  assertEquals(service.stats.names, 1);
});

test("rendezvousService: kept names give way to registered ones", async (t) => {
  const service = new Service({ maxNames: 2 }, () => 0);
  const connect = () => {
    const [client, server] = memoryPair({}, { handler: service });
    t.watch(server);
    return t.watch(client);
  };
  for (const name of ["a", "b"]) {
    const lost = connect();
    await register(lost, bob, { name });
    await lost.close();
    await until(() => service.stats.names === 0);
  }
  const other = connect();
  await assertRefused(register(other, mallory, { name: "b" }), "name-taken");
  const taken = [await register(other, mallory, { name: "c" })];
  // The oldest one has given way, and the other one has not.
  await assertRefused(register(other, mallory, { name: "b" }), "name-taken");
  taken.push(await register(other, mallory, { name: "a" }));
  await assertRefused(
    register(other, mallory, { name: "d" }),
    "limit-exceeded",
  );
  for (const response of taken) await response.close();
});
