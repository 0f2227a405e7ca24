import { TalkError } from "@qtalk/qtalk";
import { assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "../tests/support/fake_time.ts";
import { turn, watch } from "../tests/support/within.ts";
import { loaded } from "./address.ts";

Deno.test("loaded: what takes more than ten seconds to load for listen() fails, and not for good", async () => {
  using time = new FakeTime();
  const loading = loaded("listen", new Promise<never>(() => {}));
  const watched = watch(loading);
  time.tick(9_999);
  await turn();
  assertEquals(watched.state, "pending");
  time.tick(1);
  const error = await assertRejects(() => loading, TalkError);
  assertEquals([error.code, error.permanent], ["listen-failed", false]);
  assertEquals(
    error.message,
    "Cannot listen: a part of this package cannot be loaded: it takes more than 10000 ms",
  );
});
