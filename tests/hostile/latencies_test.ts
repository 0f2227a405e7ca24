import { assertEquals } from "@std/assert";
import { Latencies } from "./latencies.ts";

Deno.test("Latencies: a stall counts for every action that it delayed", () => {
  const latencies = new Latencies(5);
  for (let i = 0; i < 99; i++) latencies.add(1);
  assertEquals([latencies.count, latencies.quantile(0.99)], [99, 1]);
  latencies.add(1_000);
  assertEquals(latencies.count, 99 + 200);
  assertEquals(latencies.quantile(1), 1_000);
  assertEquals(latencies.quantile(0.5), 255);
  assertEquals(latencies.quantile(0), 1);
});

Deno.test("Latencies: quantiles are 0 without samples", () => {
  const latencies = new Latencies(5);
  latencies.add(3);
  latencies.clear();
  assertEquals([latencies.count, latencies.quantile(0.99)], [0, 0]);
});
