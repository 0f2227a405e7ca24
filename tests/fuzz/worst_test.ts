import { assertGreater } from "@std/assert";
import { forSeeds } from "../support/random.ts";
import { CODECS } from "./codec_list.ts";
import { assertBounded, line, SHORT } from "./worst.ts";
import { search } from "./worst/search.ts";

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
