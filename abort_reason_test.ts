import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { isReasonOf, reasonOf } from "./abort_reason.ts";
import { ForeignController } from "./tests/support/foreign_controller.ts";

Deno.test("reasonOf: the reason of a signal, whatever it is", () => {
  for (const reason of [new Error("enough"), null, "x", 0]) {
    assertStrictEquals(reasonOf(AbortSignal.abort(reason)), reason);
  }
});

Deno.test("reasonOf: a signal without one always has the same AbortError", () => {
  const { signal } = new ForeignController();
  const reason = reasonOf(signal);
  assert(reason instanceof DOMException);
  const own = AbortSignal.abort().reason;
  assertEquals(reason.name, own.name);
  assertEquals(reason.message, own.message);
  assertStrictEquals(reasonOf(signal), reason);
});

Deno.test("isReasonOf: only an aborted signal has a reason", () => {
  const foreign = new ForeignController();
  for (const signal of [undefined, foreign.signal]) {
    assert(!isReasonOf(undefined, signal));
  }
  foreign.abort();
  assert(isReasonOf(reasonOf(foreign.signal), foreign.signal));
  assert(!isReasonOf(undefined, foreign.signal));
  const error = new Error("enough");
  assert(isReasonOf(error, AbortSignal.abort(error)));
  assert(!isReasonOf(new Error("other"), AbortSignal.abort(error)));
});
