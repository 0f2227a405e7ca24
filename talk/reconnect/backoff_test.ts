import { assert, assertEquals, assertThrows } from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { Backoff } from "./backoff.ts";
import type { BackoffOptions } from "./types.ts";

function delays(backoff: Backoff, count: number): number[] {
  return Array.from({ length: count }, () => backoff.next());
}

Deno.test("Backoff: delays double from the smallest to the largest", () => {
  const backoff = new Backoff({ maxDelay: 1_000 }, () => 0);
  assertEquals(delays(backoff, 6), [100, 200, 400, 800, 1_000, 1_000]);
});

Deno.test("Backoff: the defaults are 100 ms to 30 s with a jitter of one half", () => {
  const least = delays(new Backoff({}, () => 0.999), 12);
  const most = delays(new Backoff({}, () => 0), 12);
  assertEquals([most.at(0), most.at(-1)], [100, 30_000]);
  for (const [i, delay] of least.entries()) {
    assert(Math.abs(delay - most[i]! / 2) < most[i]! / 100, `${delay}`);
  }
});

Deno.test("Backoff: jitter takes no more than its share of a delay", async () => {
  await forSeeds(50, (random) => {
    const jitter = random.next();
    const minDelay = random.int(0, 500);
    const maxDelay = minDelay + random.int(0, 50_000);
    const backoff = new Backoff(
      { jitter, minDelay, maxDelay },
      () => random.next(),
    );
    for (let whole = minDelay, i = 0; i < 20; i++) {
      const delay = backoff.next();
      assert(
        delay <= whole && delay >= whole * (1 - jitter),
        `${delay} of ${whole}`,
      );
      whole = Math.min(maxDelay, Math.max(1, 2 * whole));
    }
  });
});

Deno.test("Backoff: a connection that lasted longer than the delay before it resets the delays", () => {
  const backoff = new Backoff({}, () => 0);
  assertEquals(delays(backoff, 3), [100, 200, 400]);
  backoff.connectionLasted(399);
  assertEquals(backoff.next(), 800);
  backoff.connectionLasted(801);
  assertEquals(delays(backoff, 2), [100, 200]);
});

Deno.test("Backoff: an option out of range throws an error that names it", () => {
  const wrong: [BackoffOptions, string][] = [
    [{ minDelay: -1 }, "minDelay"],
    [{ minDelay: NaN }, "minDelay"],
    [{ minDelay: 200, maxDelay: 100 }, "maxDelay"],
    [{ maxDelay: 2 ** 31 }, "maxDelay"],
    [{ maxDelay: Infinity }, "maxDelay"],
    [{ jitter: 1.1 }, "jitter"],
    [{ jitter: -0.1 }, "jitter"],
  ];
  for (const [options, name] of wrong) {
    assertThrows(
      () => new Backoff(options, Math.random),
      RangeError,
      `"${name}"`,
    );
  }
});
