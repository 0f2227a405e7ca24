import { assertEquals, assertGreater } from "@std/assert";
import { ACTS } from "./acts.ts";
import { Soak } from "./soak.ts";

Deno.test("soak: for ten seconds, every result is right and nothing is left", async () => {
  const given = Deno.env.get("QTALK_SEED");
  const seed = given === undefined
    ? crypto.getRandomValues(new Uint32Array(1))[0]!
    : Number(given);
  await using soak = new Soak({ seconds: 9, seed, beat: 3 });
  const { samples, counts, acts, problems } = await soak.run();
  assertEquals(problems, [], `QTALK_SEED=${seed}`);
  assertGreater(samples.length, 0);
  assertGreater(counts.done, 0);
  for (const name of Object.keys(acts)) assertEquals(name in ACTS, true, name);
});
