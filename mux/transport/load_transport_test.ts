import { assertEquals, assertStrictEquals } from "@std/assert";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { loadTransport } from "./load_transport.ts";

Deno.test("loadTransport: an abort ends it with the reason of the signal, and leaves no timer", async () => {
  using time = new FakeTime();
  const abort = new AbortController();
  const loading = loadTransport(new Promise<never>(() => {}), abort.signal);
  const reason = new Error("too late");
  abort.abort(reason);
  assertStrictEquals(await loading.catch((error) => error), reason);
  assertEquals(time.waiting, 0);
});
