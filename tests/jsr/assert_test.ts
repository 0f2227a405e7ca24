// What the stand-in for @std/assert has to be like. It runs with the real one,
// too: what is an error of types with one must be so with the other.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";

function fails(): never {
  throw new RangeError("out of range");
}

Deno.test("assert: what is thrown is of the class that was asked for", async () => {
  const thrown: RangeError = assertThrows(fails, RangeError, "out of");
  const rejected: RangeError = await assertRejects(
    () => Promise.reject(new RangeError("late")),
    RangeError,
    "late",
  );
  assertEquals([thrown.message, rejected.message], ["out of range", "late"]);
});

Deno.test("assert: what is thrown is unknown if no class was asked for", async () => {
  const thrown = assertThrows(() => {
    throw "a text";
  });
  const rejected = await assertRejects(() => Promise.reject("another"));
  assertEquals([thrown, rejected], ["a text", "another"]);
  // @ts-expect-error It may be anything.
  void thrown.message;
  // @ts-expect-error It may be anything.
  void rejected.message;
});

Deno.test("assert: a function that does not throw fails, with the message that was given", async () => {
  const message = (error: unknown) => (error as Error).message;
  const outcomes = [
    message(assertThrows(() => assertThrows(() => {}, "in vain"))),
    message(assertThrows(() => assertThrows(() => {}, Error, "", "in vain"))),
    message(
      await assertRejects(() =>
        assertRejects(() => Promise.resolve(), "in vain")
      ),
    ),
  ];
  assertEquals(outcomes.map((text) => text.includes("in vain")), [
    true,
    true,
    true,
  ]);
});

Deno.test("assert: another class or another message fails", async () => {
  assertThrows(() => assertThrows(fails, TypeError), Error, "TypeError");
  assertThrows(() => assertThrows(fails, RangeError, "of memory"), Error);
  await assertRejects(
    () => assertRejects(() => Promise.reject(new RangeError()), TypeError),
    Error,
    "TypeError",
  );
});
