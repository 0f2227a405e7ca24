import { listen, Router } from "@qtalk/qtalk";
import {
  type RendezvousError,
  rendezvousService,
} from "@qtalk/qtalk/rendezvous";
import { assert, assertEquals } from "@std/assert";
import { type Harness, test } from "../../tests/support/harness.ts";
import { makeIdentity } from "../../tests/support/identities.ts";
import { turn, until } from "../../tests/support/within.ts";
import { loadIdentity } from "./identity.ts";
import { parsePeerAddress } from "./peer_address.ts";
import { OwnRegistration } from "./registration.ts";
import { SELECTORS } from "./wire.ts";

const bob = loadIdentity(await makeIdentity("bob"));

/** A rendezvous that counts registrations, and listeners that have the key of Bob. */
async function contest(t: Harness) {
  const service = rendezvousService();
  const counts = { registered: 0 };
  const router = new Router();
  router.handle("/", service);
  router.handle(SELECTORS.register, (call, respond) => {
    counts.registered++;
    return service.respond(call, respond);
  });
  const listener = await listen("tcp://127.0.0.1:0", {
    handler: router,
    onError() {},
  });
  t.defer(() => listener.close());
  const register = async (errors: unknown[]) => {
    const registration = new OwnRegistration({
      address: parsePeerAddress(`bob@${listener.addr}`),
      identity: bob,
      rendezvous: {},
      socket: undefined,
      handler: new Router(),
      onUnreachable: (error) => errors.push(error),
    });
    t.defer(() => registration.close());
    await registration.start();
    return registration;
  };
  return { service, counts, register };
}

/** Milliseconds that pass at once: sessions do not take that long to answer pings. */
const STEP = 5_000;

/** Lets time pass until something is the case; returns how many milliseconds. */
async function timeUntil(
  clock: ReturnType<Harness["time"]>,
  isSo: (passed: number) => boolean,
): Promise<number> {
  for (let passed = 0; passed < 1_000_000; passed += STEP) {
    // What is due takes some turns over a socket.
    for (let turns = 0; turns < 20; turns++) {
      if (isSo(passed)) return passed;
      await turn();
    }
    clock.tick(STEP);
  }
  throw new Error("a thousand seconds have passed");
}

test("OwnRegistration: two listeners with one key keep long pauses before they take the name from each other, and learn of it once", async (t) => {
  const clock = t.time();
  const { counts, register } = await contest(t);
  const errors: [unknown[], unknown[]] = [[], []];
  for (const list of errors) await register(list);
  // Until both wait for the longest time.
  await timeUntil(clock, () => counts.registered >= 20);
  const passed = await timeUntil(clock, () => counts.registered >= 26);
  // The shortest of such pauses is 15 s.
  assert(passed >= 6 * 15_000 - STEP, `${passed} ms for six registrations`);
  for (const list of errors) {
    assertEquals(list.map((error) => (error as RendezvousError).code), [
      "taken-over",
    ]);
  }
});

test("OwnRegistration: when it has held its name for a while, the next pause is short, and another listener is news", async (t) => {
  const clock = t.time();
  const { counts, register } = await contest(t);
  const errors: unknown[] = [];
  await register(errors);
  for (let round = 1; round <= 4; round++) {
    const other = await register([]);
    await until(() => errors.length === round);
    const { registered } = counts;
    // The shortest pause is less than 100 ms, and so not measured by the clock.
    await until(() => counts.registered > registered);
    await other.close();
    // A pause, and then the time for which a name has to be held.
    await timeUntil(clock, (passed) => passed > 120_000);
  }
  assertEquals(errors.length, 4);
});
