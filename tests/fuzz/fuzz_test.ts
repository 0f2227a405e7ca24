import { assertGreater } from "@std/assert";
import { forSeeds } from "../support/random.ts";
import { CODECS } from "./codec_list.ts";
import { codecs } from "./codecs.ts";
import { endings } from "./endings.ts";
import { frames } from "./frames.ts";
import { sessions } from "./sessions.ts";
import { assertBounded, line, SHORT } from "./worst.ts";
import { search } from "./worst/search.ts";

/** Rounds of each target here; `deno task fuzz` goes on for minutes. */
const ROUNDS: Record<string, number> = { frames: 100, sessions: 40 };

for (const target of [frames, ...codecs, sessions]) {
  Deno.test(`fuzz ${target.name}: random inputs break nothing`, async () => {
    const rounds = ROUNDS[target.name] ?? 5;
    let passed = 0;
    await forSeeds(rounds, async (random) => {
      await target.round(random);
      passed++;
    });
    assertGreater(passed, 0);
  });
}

Deno.test("fuzz endings: nothing breaks however a call ends", async () => {
  const target = endings();
  let passed = 0;
  await forSeeds(3, async (random) => {
    await target.round(random);
    passed++;
  });
  assertGreater(passed, 0);
  console.log(target.report?.());
});

for (const [name, listed] of Object.entries(CODECS)) {
  Deno.test(`fuzz worst: no value costs ${name} more than is promised`, async () => {
    await forSeeds(1, (random) => {
      const found = search(listed, random, SHORT);
      const [slowest] = found.slowest;
      assertGreater(slowest!.ms, 0);
      console.log(
        `seed ${random.seed}: ${line({ codec: name, found: slowest! })}`,
      );
      assertBounded(name, found);
    });
  });
}
