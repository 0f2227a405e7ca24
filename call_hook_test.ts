import { assertEquals } from "@std/assert";
import { callHook } from "./call_hook.ts";
import { within } from "./tests/support/within.ts";

Deno.test("callHook: what the program throws is an uncaught error, and the caller continues", async () => {
  const mistake = new Error("of the program");
  const uncaught = Promise.withResolvers<unknown>();
  const onUncaught = (event: ErrorEvent) => {
    event.preventDefault();
    uncaught.resolve(event.error);
  };
  addEventListener("error", onUncaught);
  try {
    let called = 0;
    callHook(() => void called++);
    callHook(() => {
      called++;
      throw mistake;
    });
    assertEquals(called, 2);
    assertEquals(await within(uncaught.promise, "the error"), mistake);
  } finally {
    removeEventListener("error", onUncaught);
  }
});
