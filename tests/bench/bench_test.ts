import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { CpuMeter } from "./cpu_time.ts";
import { CURVES } from "./growth/curves.ts";
import { picture as growthPicture } from "./growth/picture.ts";
import type { Report, Result } from "./report.ts";
import { summary } from "./summary.ts";
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
    ...["tls-1", "tls-64", "unix-bytes", "tls-bytes", "echo-8"],
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
      "tls-1 qtalk (this)",
      "tls-1 (raw sockets and pipes)",
      "tls-64 qtalk (this)",
      "tls-64 (id map, hand-written)",
      "worker-1 qtalk (this)",
      "worker-1 (id map, hand-written)",
      "unix-bytes qtalk (this)",
      "unix-bytes (raw sockets and pipes)",
      "tls-bytes qtalk (this)",
      "tls-bytes (raw sockets and pipes)",
      "echo-8 qtalk (this)",
      "echo-8 (raw sockets and pipes)",
      "beside-receive qtalk (this)",
      "resume-1 qtalk (this)",
      "resume-1 qtalk (this), resuming",
    ],
  );
  for (const { measure, median, min, max, rounds, cpu } of report.results) {
    assertEquals(rounds.length, 2);
    assert(0 < min && min <= median && median <= max);
    if (Deno.build.os !== "linux") continue;
    assert(cpu!.client >= 0);
    // A worker is a thread of the client.
    assertEquals(cpu!.server === undefined, measure === "worker-1");
  }
  assertEquals(report.checks.map(({ what }) => what), [
    "echo-8: of (raw sockets and pipes)",
    "unary-1: of (id map, hand-written)",
    "unary-1: of (raw sockets and pipes)",
    "stdio-64: of (id map, hand-written)",
    "ws-64: of (id map, hand-written)",
    "worker-1: of (id map, hand-written)",
    "tls-64: of unary-64",
    "tls-1: of (raw sockets and pipes)",
    "tls-bytes: of (raw sockets and pipes)",
    "resume-1: of plain sessions",
    "unary-64: of (id map, hand-written)",
  ]);

  const path = `${directory}/report.json`;
  await Deno.writeTextFile(path, json);
  const svg = `${directory}/picture.svg`;
  const table = await bench("--from", path, "--svg", svg);
  assertStringIncludes(table, "unary calls, 64 in flight");
  if (Deno.build.os === "linux") {
    assertStringIncludes(table, "CPU seconds (user + sys)");
  }
  const summary = await bench("--from", path, "--from", path, "--summary");
  assertMatch(
    summary,
    /^\| `stdio-64`, calls\/s +\| +[\d,.]+; [\d,.]+ \| +\(id map, hand-written\)/m,
  );
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

Deno.test("bench parallel: calls of a handler that computes reach qtalk serve with workers", async () => {
  const json = await bench(
    ...["--peers", "qtalk (this)", "--measures", "parallel-1,parallel-2"],
    ...["--rounds", "1", "--seconds", "0.02", "--warmup", "0.01", "--json"],
  );
  const { results, checks }: Report = JSON.parse(json);
  assertEquals(results.map(({ measure }) => measure), [
    "parallel-1",
    "parallel-2",
  ]);
  for (const { median } of results) assert(median > 0);
  assertEquals(checks.map(({ what }) => what), ["parallel-2: of parallel-1"]);
});

Deno.test("CpuMeter: what this process computes counts, and what its child does", async () => {
  // Other tests have children in this process, too: the ID says which is meant.
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "console.log(1); for (;;);"],
    stdout: "piped",
  }).spawn();
  // It has begun to compute.
  const output = child.stdout.getReader();
  await output.read();
  const meter = new CpuMeter(child.pid);
  let used = meter.stop(1);
  // As many ticks of the clock as it takes: the machine may be busy.
  while (used?.server !== undefined && !(used.client > 0 && used.server > 0)) {
    used = meter.stop(1);
    await new Promise((resolve) => setTimeout(resolve));
  }
  child.kill("SIGKILL");
  await child.status;
  await output.cancel();
  assertEquals(used?.server !== undefined, Deno.build.os === "linux");
});

Deno.test("CpuMeter: without an ID, it is the only child that counts", async () => {
  const script = `
    import { CpuMeter } from ${
    JSON.stringify(import.meta.resolve("./cpu_time.ts"))
  };
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "for (;;);"],
    }).spawn();
    const used = new CpuMeter(undefined).stop(1);
    child.kill("SIGKILL");
    await child.status;
    console.log(JSON.stringify(used?.server));`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", script],
    stderr: "inherit",
  }).output();
  const said = new TextDecoder().decode(stdout).trim();
  assertEquals(said !== "undefined", Deno.build.os === "linux");
});

Deno.test("bench summary: a row shows all runs, and in how many of them its target holds", () => {
  const run = (ours: number, raw: number) => ({
    machine: { deno: "2.9.6", os: "linux", arch: "x", cores: 2, load: 0 },
    options: { rounds: 5, placement: "free" },
    results: [
      { measure: "echo", peer: "qtalk (this)", median: ours, cpu: cpu(2) },
      {
        measure: "echo",
        peer: "(raw sockets and pipes)",
        median: raw,
        cpu: cpu(1),
      },
    ],
  } as Report);
  const cpu = (seconds: number) => ({ client: seconds, server: seconds });
  const lines = summary([run(700, 1_000), run(600, 1_000)]).split("\n");
  assertEquals(
    lines.find((line) => line.startsWith("| `echo`,"))!.split("|")
      .map((cell) => cell.trim()),
    [
      ...["", "`echo`, MB/s", "700; 600"],
      ...["(raw sockets and pipes) 1,000; 1,000", "0.70; 0.60", "≥ 0.65"],
      ...["in 1 of 2", "2.00; 2.00", ""],
    ],
  );
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
    ["grpc-js", 10],
    ["qtalk-go", 20],
    ["(id map, hand-written)", 40],
  ].map(([peer, median]) => ({ peer, measure: "unix-64", median } as Result));
  const target = { what: "unix-64: of the fastest peer", target: "≥ 1" };
  assertEquals(checkTargets(results), [{ ...target, value: 1.5, holds: true }]);
  assertEquals(checkTargets([results[0]!, results[3]!]), []);
});

Deno.test("bench growth: the picture has room for the longest labels of its axes", () => {
  const drawn = growthPicture([{
    curve: CURVES.values,
    points: [
      { size: 16, value: 40, memory: 7 },
      { size: 64 * 1024 ** 2, value: 737_000, memory: 90_000 },
    ],
  }]);
  const labels = [
    ...drawn.matchAll(
      /<text class="(time left|memory)" x="([\d.]+)" y="[\d.]+">([^<]+)/g,
    ),
  ].map(([_, kind, x, label]) => ({ kind, x: Number(x), label: label! }));
  assertEquals(labels.map(({ label }) => label), [
    ...["10", "1,000,000", "1", "100,000"],
  ]);
  for (const { kind, x, label } of labels) {
    // At 11 pixels, digits are less than 7 wide.
    const width = 7 * label.length;
    if (kind === "memory") assert(x + width <= 440);
    else assert(x >= width);
  }
  assertStringIncludes(drawn, ">64 MiB<");
});
