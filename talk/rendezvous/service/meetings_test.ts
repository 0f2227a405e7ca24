import { memoryPair, Router, type RpcResponse } from "@qtalk/qtalk";
import { rendezvousService } from "@qtalk/qtalk/rendezvous";
import { assertEquals } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import { until } from "../../../tests/support/within.ts";
import { SELECTORS } from "../wire.ts";
import {
  assertRefused,
  bob,
  register,
  relaying,
} from "../../../tests/support/rendezvous.ts";

test("rendezvousService: a peer that does not answer does not keep others from meeting", async (t) => {
  const { service, ask, punches } = await relaying(t, {
    maxMeetings: 2,
    maxMeetingsPerName: 4,
  });
  for (let i = 1; i <= 6; i++) {
    await ask(SELECTORS.meet);
    await until(() => punches() === i);
  }
  assertEquals(service.stats.meetings, 6);

  const one = await relaying(t, { maxMeetingsPerName: 2 });
  for (let i = 0; i < 6; i++) await one.ask(SELECTORS.meet);
  await until(() => one.punches() === 2);
  // What the service asked of the listening peer before arrives before this answer.
  await one.listener.call(SELECTORS.challenge);
  assertEquals(one.punches(), 2);
  assertEquals(one.service.stats.meetings, 6);
});

test("rendezvousService: one session has its share of meetings and relays", async (t) => {
  const service = rendezvousService({ maxRelays: 16, maxMeetings: 16 });
  const connect = (handler: Router) => {
    const [client, server] = memoryPair({ handler }, { handler: service });
    t.watch(server);
    return t.watch(client);
  };
  // A peer that listens under several names, and answers when it may.
  const router = new Router();
  let answers = Promise.withResolvers<void>();
  let answered = 0;
  router.handle(SELECTORS.punch, async (_, respond) => {
    await answers.promise;
    await respond.return();
    answered++;
  });
  router.handle(SELECTORS.stream, async (call, respond) => {
    await call.receive();
    await respond.continue();
  });
  const listening = connect(router);
  const names = ["a", "b", "c"];
  for (const name of names) await register(listening, bob, { name });
  const [greedy, other] = [connect(new Router()), connect(new Router())];
  const args = (name: string) => [
    { name, fingerprint: bob.fingerprint, local: [] },
  ];
  // What has ended counts no more, and is no credit either.
  for (const round of [1, 2]) {
    const responses: RpcResponse[] = [];
    for (const selector of [SELECTORS.meet, SELECTORS.relay]) {
      for (let i = 0; i < 8; i++) {
        responses.push(await greedy.request(selector, args(names[i % 3]!)));
      }
      for (const name of names) {
        await assertRefused(
          greedy.request(selector, args(name)),
          "limit-exceeded",
        );
      }
      responses.push(await other.request(selector, args("a")));
    }
    assertEquals(service.stats.relays, 9);
    answers.resolve();
    answers = Promise.withResolvers();
    await until(() => answered === 9 * round);
    // The service has got the answers when it answers this.
    await listening.call(SELECTORS.challenge);
    for (const response of responses) await response.close();
    await until(() => service.stats.relays === 0);
  }
  await other.close();
  await greedy.close();
  await listening.close();
});
