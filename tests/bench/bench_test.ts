import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Report } from "./report.ts";

const main = new URL("main.ts", import.meta.url).pathname;

async function bench(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", main, ...args],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("the bench measures every peer that needs nothing but Deno", async () => {
  const directory = await Deno.makeTempDir();
  const measures = ["unary-1", "unary-64", "stdio-64", "unix-bytes", "echo-8"];
  const json = await bench(
    ...["--peers", "(", "--rounds", "2", "--json"],
    ...["--measures", [...measures, "beside-receive"].join()],
    ...["--seconds", "0.02", "--warmup", "0.01"],
    ...["--mib", "2", "--echo-mib", "2"],
  );
  const report: Report = JSON.parse(json);
  assertEquals(report.missing, []);
  assertEquals(
    report.results.map(({ peer, measure }) => `${measure} ${peer}`),
    [
      "unary-1 qtalk (this)",
      "unary-1 (raw sockets and pipes)",
      "unary-1 (id map, hand-written)",
      "unary-64 qtalk (this)",
      "unary-64 (id map, hand-written)",
      "stdio-64 qtalk (this)",
      "stdio-64 (id map, hand-written)",
      "unix-bytes qtalk (this)",
      "unix-bytes (raw sockets and pipes)",
      "echo-8 qtalk (this)",
      "echo-8 (raw sockets and pipes)",
      "beside-receive qtalk (this)",
    ],
  );
  for (const { median, min, max, rounds } of report.results) {
    assertEquals(rounds.length, 2);
    assert(0 < min && min <= median && median <= max);
  }
  assertEquals(report.checks.map(({ what }) => what), [
    "unary-1: of (raw sockets and pipes)",
    "unary-64: of (id map, hand-written)",
  ]);

  const path = `${directory}/report.json`;
  await Deno.writeTextFile(path, json);
  const svg = `${directory}/picture.svg`;
  const table = await bench("--from", path, "--svg", svg);
  assertStringIncludes(table, "unary calls, 64 in flight");
  assertStringIncludes(
    await Deno.readTextFile(svg),
    "unary calls, 64 in flight",
  );
  await Deno.remove(directory, { recursive: true });
});
