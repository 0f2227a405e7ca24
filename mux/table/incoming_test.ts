import { assertEquals, assertThrows } from "@std/assert";
import { turn, watch } from "../../tests/support/within.ts";
import { MuxError } from "../errors.ts";
import { Incoming } from "./incoming.ts";

/** Numbers come in; items are their names, and whether they waited. */
function make(limit = 3): Incoming<number, string> {
  return new Incoming(limit, (n, waited) => `${n}${waited ? " waited" : ""}`);
}

Deno.test("incoming: what nobody takes waits, up to the limit", () => {
  const incoming = make(2);
  assertEquals([1, 2, 3].map((n) => incoming.offer(n)), [true, true, false]);
  assertEquals(incoming.waiting, 2);
});

Deno.test("incoming: an offer becomes an item when it is taken, and not before", async () => {
  let admitted = 0;
  const incoming = new Incoming<number, number>(3, (n) => {
    admitted++;
    return n;
  });
  incoming.offer(1);
  assertEquals(admitted, 0);
  await incoming.iterate().next();
  assertEquals([admitted, incoming.waiting], [1, 0]);
});

Deno.test("incoming: a handler gets what waited and then what comes, in order", () => {
  const incoming = make();
  incoming.offer(1);
  incoming.offer(2);
  const seen: string[] = [];
  incoming.handle((item) => void seen.push(item));
  incoming.offer(3);
  assertEquals(seen, ["1 waited", "2 waited", "3"]);
});

Deno.test("incoming: iterators share what comes, in the order in which they asked", async () => {
  const incoming = make();
  const [one, two] = [incoming.iterate(), incoming.iterate()];
  incoming.offer(1);
  const asked = [one.next(), two.next(), one.next()];
  incoming.offer(2);
  incoming.offer(3);
  assertEquals(
    (await Promise.all(asked)).map(({ value }) => value),
    ["1 waited", "2", "3"],
  );
});

Deno.test("incoming: an iterator that returned is out, its waiting next() included", async () => {
  const incoming = make();
  const [left, stays] = [incoming.iterate(), incoming.iterate()];
  const waiting = left.next();
  const other = stays.next();
  await left.return!();
  assertEquals(await waiting, { done: true, value: undefined });
  assertEquals(await left.next(), { done: true, value: undefined });
  incoming.offer(1);
  assertEquals(await other, { done: false, value: "1" });
});

Deno.test("incoming: the end ends all iterations and forgets what waits", async () => {
  const incoming = make();
  const iterator = incoming.iterate();
  const waiting = watch(iterator.next());
  incoming.end();
  await turn();
  assertEquals(waiting.state, "resolved");
  assertEquals((await iterator.next()).done, true);
  assertEquals((await incoming.iterate().next()).done, true);

  const other = make();
  other.offer(1);
  other.end();
  assertEquals(other.waiting, 0);
  assertEquals((await other.iterate().next()).done, true);
});

Deno.test("incoming: there is one handler, and no iterator beside it", async () => {
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

Deno.test("incoming: an admission that fails is the failure of who takes", async () => {
  const broken = new Error("no longer possible");
  const incoming = new Incoming<number, number>(3, () => {
    throw broken;
  });
  incoming.offer(1);
  assertEquals(await incoming.iterate().next().catch((error) => error), broken);
});
