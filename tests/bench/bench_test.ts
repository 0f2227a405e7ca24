import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Report, Result } from "./report.ts";
import { checkTargets } from "./targets.ts";

const main = new URL("main.ts", import.meta.url).pathname;

async function bench(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", main, ...args],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("bench: measures every peer that needs nothing but Deno", async () => {
  const directory = await Deno.makeTempDir();
  const measures = [
    ...["unary-1", "unary-64", "stdio-64", "ws-64", "ws-1k", "worker-1"],
    ...["unix-bytes", "echo-8"],
  ];
  const json = await bench(
    ...["--peers", "(", "--rounds", "2", "--json"],
    ...["--measures", [...measures, "beside-receive", "resume-1"].join()],
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
      "ws-64 qtalk (this)",
      "ws-64 (id map, hand-written)",
      "ws-1k qtalk (this)",
      "ws-1k (id map, hand-written)",
      "worker-1 qtalk (this)",
      "worker-1 (id map, hand-written)",
      "unix-bytes qtalk (this)",
      "unix-bytes (raw sockets and pipes)",
      "echo-8 qtalk (this)",
      "echo-8 (raw sockets and pipes)",
      "beside-receive qtalk (this)",
      "resume-1 qtalk (this)",
      "resume-1 qtalk (this), resuming",
    ],
  );
  for (const { median, min, max, rounds } of report.results) {
    assertEquals(rounds.length, 2);
    assert(0 < min && min <= median && median <= max);
  }
  assertEquals(report.checks.map(({ what }) => what), [
    "unary-1: of (raw sockets and pipes)",
    "unary-64: of (id map, hand-written)",
    "resume-1: qtalk (this), resuming, of qtalk (this)",
  ]);

  const path = `${directory}/report.json`;
  await Deno.writeTextFile(path, json);
  const svg = `${directory}/picture.svg`;
  const table = await bench("--from", path, "--svg", svg);
  assertStringIncludes(table, "unary calls, 64 in flight");
  const drawn = await Deno.readTextFile(svg);
  assertStringIncludes(drawn, "unary calls, 64 in flight, TCP");
  assertStringIncludes(drawn, "unary calls, 64 in flight, WebSocket");
  await Deno.remove(directory, { recursive: true });
});

Deno.test("bench startup: each start of a program is a turn, and four of them are a round", async () => {
  const json = await bench(
    ...["--peers", "(an empty file)", "--measures", "startup"],
    ...["--rounds", "1", "--json"],
  );
  const { results }: Report = JSON.parse(json);
  assertEquals(results.map(({ rounds }) => rounds.length), [4]);
});

Deno.test("bench startup: the package is also started as JSR serves it", async () => {
  const json = await bench(
    ...["--peers", "as JSR serves it", "--measures", "startup"],
    ...["--rounds", "1", "--json"],
  );
  const { results }: Report = JSON.parse(json);
  assertEquals(results.map(({ rounds }) => rounds.length), [4]);
});

Deno.test("bench report: a measure is compared with that of an earlier version", () => {
  const results = [
    ["unary-64", "qtalk (this)", 96],
    ["unary-64", "qtalk (before)", 100],
    ["startup", "qtalk (this)", 40],
    ["startup", "qtalk (before)", 42],
  ].map(([measure, peer, median]) => ({ measure, peer, median } as Result));
  const target = "≥ 0.97";
  assertEquals(checkTargets(results), [
    {
      what: "unary-64: of qtalk (before)",
      value: 0.96,
      target,
      holds: false,
    },
    { what: "startup: of qtalk (before)", value: 1.05, target, holds: true },
  ]);
});

Deno.test("bench report: a peer is compared with the fastest of the others", () => {
  const results = [
    ["qtalk (this)", 30],
    ["kkrpc, stdio", 10],
    ["qtalk-go", 20],
    ["(id map, hand-written)", 40],
  ].map(([peer, median]) => ({ peer, measure: "stdio-64", median } as Result));
  const target = { what: "stdio-64: of the fastest peer", target: "≥ 1" };
  assertEquals(checkTargets(results), [{ ...target, value: 1.5, holds: true }]);
  assertEquals(checkTargets([results[0]!, results[3]!]), []);
});
