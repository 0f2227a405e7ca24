import { assert, assertEquals } from "@std/assert";
import { Latencies } from "./latencies.ts";

Deno.test("Latencies: without any, all figures are 0", () => {
  assertEquals(new Latencies().figures, { p50: 0, p90: 0, p99: 0, max: 0 });
});

Deno.test("Latencies: figures are within 5 % of what was measured, at every scale", () => {
  for (const unit of [0.01, 1, 1_000]) {
    const latencies = new Latencies();
    for (let n = 1; n <= 1_000; n++) latencies.add(n * unit);
    const { p50, p90, p99, max } = latencies.figures;
    for (const [got, wanted] of [[p50, 500], [p90, 900], [p99, 990]] as const) {
      assert(Math.abs(got / (wanted * unit) - 1) < 0.05, `${got} of ${unit}`);
    }
    assertEquals(max, 1_000 * unit);
  }
});

Deno.test("Latencies: durations beyond the scale are counted at its ends", () => {
  const latencies = new Latencies();
  for (const ms of [0, -1, NaN]) latencies.add(ms);
  assertEquals(latencies.figures.p99, 0);
  latencies.add(1e12);
  assertEquals(latencies.figures.max, 1e12);
  assert(latencies.figures.p99 > 1e6);
});

Deno.test("Latencies: what others have counted is added", () => {
  const [all, some, more] = [new Latencies(), new Latencies(), new Latencies()];
  for (let n = 1; n <= 100; n++) {
    all.add(n);
    (n % 2 === 0 ? some : more).add(n);
  }
  some.addAll(more);
  assertEquals(some.figures, all.figures);
});
