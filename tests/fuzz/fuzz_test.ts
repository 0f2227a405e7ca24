import { assertEquals, assertGreater } from "@std/assert";
import { forSeeds } from "../support/random.ts";
import { codecs } from "./codecs.ts";
import { endings } from "./endings.ts";
import { frames } from "./frames.ts";
import { sessions } from "./sessions.ts";
import { shareTime } from "./share_time.ts";

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

Deno.test("fuzz: targets get as much time, however long their rounds take, and no more than there is", async () => {
  const costs: Record<string, number> = { short: 1, long: 4_000, other: 300 };
  const spent: Record<string, number> = { short: 0, long: 0, other: 0 };
  const targets = Object.keys(costs).map((name) => ({ name, round() {} }));
  let now = 0;
  const round = ({ name }: { name: string }) => {
    now += costs[name]!;
    spent[name]! += costs[name]!;
  };
  await shareTime(targets, 12_000, round, () => now);
  assertEquals(spent, { short: 4_000, long: 4_000, other: 4_200 });
});
