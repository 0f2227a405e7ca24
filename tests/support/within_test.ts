import { assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "./fake_time.ts";
import { until } from "./within.ts";

Deno.test("until(): it ends once the condition holds, however a fake clock stands", async () => {
  using time = new FakeTime();
  let asked = 0;
  await until(() => ++asked === 3);
  await until(() => time.waiting === 0);
  await until(async () => await Promise.resolve(++asked) === 4);
  let steps = 0;
  await until(() => steps === 2, "two steps", () => Promise.resolve(steps++));
  assertEquals([asked, steps], [4, 2]);
});

Deno.test("until(): what never comes is an error that says what it was", async () => {
  const never = () => false;
  await assertRejects(
    () => until(never, "the train", undefined, -1),
    Error,
    "Still waiting after -1 ms: the train",
  );
  await assertRejects(
    () => until(never, undefined, undefined, -1),
    Error,
    String(never),
  );
});
