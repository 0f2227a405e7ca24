import { assertEquals, assertThrows } from "@std/assert";
import { turn, watch } from "../../tests/support/within.ts";
import { MuxError } from "../errors.ts";
import { AcceptQueue } from "./accept_queue.ts";

/** OPENs are numbers; channels tell their number, and whether they waited. */
function make(limit = 3): AcceptQueue<number, string> {
  return new AcceptQueue(
    limit,
    (n, waited) => `${n}${waited ? " waited" : ""}`,
  );
}

Deno.test("AcceptQueue: OPENs wait, up to the limit", () => {
  const queue = make(2);
  assertEquals([1, 2, 3].map((n) => queue.push(n)), [true, true, false]);
  assertEquals(queue.length, 2);
});

Deno.test("AcceptQueue: an OPEN becomes a channel when it is taken", async () => {
  let accepted = 0;
  const queue = new AcceptQueue<number, number>(3, (n) => {
    accepted++;
    return n;
  });
  queue.push(1);
  assertEquals(accepted, 0);
  await queue.iterate().next();
  assertEquals([accepted, queue.length], [1, 0]);
});

Deno.test("AcceptQueue: handle() passes channels that waited, then later ones, in order", () => {
  const queue = make();
  queue.push(1);
  queue.push(2);
  const seen: string[] = [];
  queue.handle((item) => void seen.push(item));
  queue.push(3);
  assertEquals(seen, ["1 waited", "2 waited", "3"]);
});

Deno.test("AcceptQueue: iterators share the channels in the order of their next() calls", async () => {
  const queue = make();
  const [one, two] = [queue.iterate(), queue.iterate()];
  queue.push(1);
  const asked = [one.next(), two.next(), one.next()];
  queue.push(2);
  queue.push(3);
  assertEquals(
    (await Promise.all(asked)).map(({ value }) => value),
    ["1 waited", "2", "3"],
  );
});

Deno.test("AcceptQueue: return() ends an iterator and its pending next()", async () => {
  const queue = make();
  const [left, stays] = [queue.iterate(), queue.iterate()];
  const waiting = left.next();
  const other = stays.next();
  await left.return!();
  assertEquals(await waiting, { done: true, value: undefined });
  assertEquals(await left.next(), { done: true, value: undefined });
  queue.push(1);
  assertEquals(await other, { done: false, value: "1" });
});

Deno.test("AcceptQueue: end() ends all iterators and drops what waits", async () => {
  const queue = make();
  const iterator = queue.iterate();
  const waiting = watch(iterator.next());
  queue.end();
  await turn();
  assertEquals(waiting.state, "resolved");
  assertEquals((await iterator.next()).done, true);
  assertEquals((await queue.iterate().next()).done, true);

  const other = make();
  other.push(1);
  other.end();
  assertEquals(other.length, 0);
  assertEquals((await other.iterate().next()).done, true);
});

Deno.test("AcceptQueue: there is one handler, or there are iterators", async () => {
  const invalid = (attempt: () => unknown) =>
    assertEquals(assertThrows(attempt, MuxError).code, "invalid-state");
  const handled = make();
  const early = handled.iterate();
  handled.handle(() => {});
  invalid(() => handled.handle(() => {}));
  invalid(() => handled.iterate());
  const error = await early.next().catch((error) => error);
  assertEquals(error.code, "invalid-state");

  const iterated = make();
  void iterated.iterate().next();
  invalid(() => iterated.handle(() => {}));
});

Deno.test("AcceptQueue: next() rejects if accepting fails", async () => {
  const broken = new Error("no longer possible");
  const queue = new AcceptQueue<number, number>(3, () => {
    throw broken;
  });
  queue.push(1);
  assertEquals(await queue.iterate().next().catch((error) => error), broken);
});
