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
    await forSeeds(rounds, (random) => target.round(random));
  });
}

Deno.test("fuzz endings: nothing breaks however a call ends", async () => {
  const target = endings();
  await forSeeds(3, (random) => target.round(random));
  console.log(target.report?.());
});

for (const [name, listed] of Object.entries(CODECS)) {
  Deno.test(`fuzz worst: no value costs ${name} more than is promised`, async () => {
    await forSeeds(1, (random) => {
      const found = search(listed, random, SHORT);
      console.log(
        `seed ${random.seed}: ${
          line({ codec: name, found: found.slowest[0]! })
        }`,
      );
      assertBounded(name, found);
    });
  });
}
