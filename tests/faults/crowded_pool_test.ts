/**
 * Sessions of one pool, some of which take all that they can get.
 *
 * @module
 */
import { assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { handlerFrom, memoryPool } from "@qtalk/qtalk";
import { type Harness, test } from "../support/harness.ts";
import { concat, data, open } from "../support/wire.ts";
import { turn, within } from "../support/within.ts";
import { held, keep } from "./kept.ts";

const KIB = 1024, MIB = 1024 * KIB;

/** Opens channels and fills their windows, until channels are refused. */
async function fillAll(
  t: Harness,
  session: NonNullable<Parameters<Harness["script"]>[0]>,
): Promise<number> {
  const { session: filled, raw } = t.script(session);
  const kept = keep(filled);
  for (let id = 0;; id++) {
    await raw.send(open(id));
    const answer = await raw.next();
    if (answer?.type !== "open-confirm") break;
    await raw.send(data(answer.sender, new Uint8Array(answer.window)));
  }
  await turn();
  assertEquals(held(kept), filled.usage.held.windows);
  return filled.usage.held.total;
}

test("crowded pool: sessions that take all they can do not disturb another", async (t) => {
  const size = 8 * MIB;
  const pool = memoryPool({ size, maxSessions: 8 });
  const session = { memoryPool: pool };
  const taken: number[] = [];
  for (let i = 0; i < 6; i++) taken.push(await fillAll(t, session));
  // Each has what is guaranteed, and the first ones not all of the rest.
  for (const bytes of taken) assertGreater(bytes, 300 * KIB);
  assertLessOrEqual(taken[0]!, size * 3 / 8);
  assertEquals(pool.usage.held, taken.reduce((sum, bytes) => sum + bytes));

  const [client, server] = t.pair({}, { session });
  server.handle("length", handlerFrom((text: string) => text.length));
  server.handle("ask", async (call, respond) => {
    await respond.return(await call.caller.call("repeat", [100 * KIB]));
  });
  client.handle("repeat", handlerFrom((n: number) => "x".repeat(n)));
  for (let round = 0; round < 3; round++) {
    const calls = Array.from(
      { length: 20 },
      (_, i) =>
        i % 4 === 0
          ? client.call("ask")
          : client.call("length", ["y".repeat(100 * KIB)]),
    );
    const results = await within(Promise.all(calls), "the calls");
    for (const [i, result] of results.entries()) {
      const length = i % 4 === 0 ? (result as string).length : result;
      assertEquals(length, 100 * KIB);
    }
    assertLessOrEqual(pool.usage.held, size);
  }
});

test("crowded pool: gets back all that sessions held when they have ended and were read", async (t) => {
  const pool = memoryPool({ size: 4 * MIB, maxSessions: 2 });
  const { session, raw } = t.script({ memoryPool: pool });
  const kept = keep(session);
  await raw.send(concat(open(0), open(1)));
  for (let i = 0; i < 2; i++) {
    const { sender } = await raw.expect("open-confirm");
    await raw.send(data(sender, new Uint8Array(1_000)));
  }
  await raw.end();
  await session.closed;
  // The bytes can still be read, so they count.
  assertEquals(pool.usage, { sessions: 1, held: 2_000 });
  await kept[0]!.readable.cancel();
  assertEquals(pool.usage, { sessions: 1, held: 1_000 });
  const reader = kept[1]!.readable.getReader();
  assertEquals((await reader.read()).value?.length, 1_000);
  assertEquals(pool.usage, { sessions: 0, held: 0 });
  reader.closed.catch(() => {});
});
