import { assert, assertEquals } from "@std/assert";
import type { Report } from "./report.ts";

Deno.test("the bench measures every peer that needs nothing but Deno", async () => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-all"],
      new URL("main.ts", import.meta.url).pathname,
      ...["--peers", "(this),raw,id map", "--rounds", "2", "--json"],
      ...["--seconds", "0.02", "--warmup", "0.01", "--mib", "2"],
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const report: Report = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(report.missing, []);
  assertEquals(
    report.results.map(({ peer, measure }) => `${measure} ${peer}`),
    [
      "unary-1 qtalk (this)",
      "unary-1 raw TCP",
      "unary-1 id map, hand-written",
      "unary-64 qtalk (this)",
      "unary-64 id map, hand-written",
      "bytes qtalk (this)",
      "bytes raw TCP",
    ],
  );
  for (const { median, min, max, rounds } of report.results) {
    assertEquals(rounds.length, 2);
    assert(0 < min && min <= median && median <= max);
  }
});
