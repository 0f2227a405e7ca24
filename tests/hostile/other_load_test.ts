import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { busyTicks, OtherLoad, processTicks } from "./other_load.ts";

Deno.test("busyTicks: all that is neither idle nor waiting counts", () => {
  assertEquals(
    busyTicks(
      "cpu  1 20 300 4000 50000 6 70 800 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n",
    ),
    1 + 20 + 300 + 6 + 70 + 800,
  );
});

Deno.test("processTicks: its own and those of its children, whatever its name", () => {
  assertEquals(
    processTicks(
      "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 100 20 3000 400 20 0 1 0 77",
    ),
    100 + 20 + 3000 + 400,
  );
});

Deno.test("OtherLoad.cores: this process is not another one", () => {
  const load = new OtherLoad();
  const cores = load.cores();
  if (Deno.build.os === "linux") assertGreaterOrEqual(cores!, 0);
  else assert(cores === undefined || cores >= 0);
});
