import { assertEquals } from "@std/assert";
import { offAbort, onAbort } from "./abort_listeners.ts";
import { CountingController } from "./tests/support/counting_controller.ts";

Deno.test("onAbort: every function is called once, unless it was forgotten", () => {
  const controller = new AbortController();
  const { signal } = controller;
  const called: string[] = [];
  const forgotten = () => called.push("forgotten");
  const last = () => called.push("last");
  onAbort(signal, forgotten);
  onAbort(signal, () => {
    called.push("first");
    // What is not called yet can still be forgotten.
    offAbort(signal, last);
  });
  onAbort(signal, last);
  onAbort(signal, () => called.push("second"));
  offAbort(signal, forgotten);
  controller.abort();
  assertEquals(called, ["first", "second"]);
});

Deno.test("onAbort: a signal has one listener, and none when all is forgotten", () => {
  const controller = new CountingController();
  const callbacks = Array.from({ length: 1_000 }, () => () => {});
  for (const callback of callbacks) onAbort(controller.signal, callback);
  assertEquals(controller.listeners, 1);
  for (const callback of callbacks) offAbort(controller.signal, callback);
  assertEquals(controller.listeners, 0);
});
