import { assert, assertEquals } from "@std/assert";
import { test } from "../support/harness.ts";
import { forSeeds, runsAllSeeds } from "../support/random.ts";
import { within } from "../support/within.ts";
import { type Figures, runWithCuts, runWithoutCuts } from "./random_session.ts";

test("random sessions: cut at random bytes, every channel carries what it carries without cuts", async () => {
  const figures: Figures = { cuts: 0, bytes: 0 };
  await forSeeds(30, async (random) => {
    const expected = await runWithoutCuts(random.seed);
    const run = runWithCuts(random.seed, figures);
    assertEquals(await within(run, "a session that is cut"), expected);
  });
  // The test is no test if nothing is cut.
  if (runsAllSeeds()) assert(figures.cuts > 50);
});
