import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { findRuntimes } from "../../node_bun/runtimes.ts";
import { makeReport, type Report, type Row, tableOf } from "./report.ts";

const main = new URL("main.ts", import.meta.url).pathname;
const { missing } = await findRuntimes();
if (missing !== undefined) {
  const text = `runtimes bench: the test is skipped: ${missing}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

Deno.test({
  name: "runtimes bench: measures this package and its peers on Node and Bun",
  ignore: missing !== undefined,
  async fn() {
    const { success, stdout, stderr } = await new Deno.Command(
      Deno.execPath(),
      {
        args: [
          ...["run", "--quiet", "--allow-all", main, "--json"],
          ...["--rounds", "1", "--seconds", "0.05", "--warmup", "0.05"],
          ...["--measures", "unary-64,ws-64,tls-64"],
        ],
      },
    ).output();
    assert(success, new TextDecoder().decode(stderr));
    const report: Report = JSON.parse(new TextDecoder().decode(stdout));
    const measured = [...report.results, ...report.missing].map((row) =>
      `${row.runtime} ${row.measure} ${row.peer}`
    );
    const wanted = ["node24", "bun"].flatMap((runtime) => [
      ...["qtalk", "birpc", "kkrpc", "id_map"].flatMap((peer) => [
        `${runtime} unary-64 ${peer}`,
        `${runtime} ws-64 ${peer}`,
      ]),
      ...["qtalk", "id_map"].map((peer) => `${runtime} tls-64 ${peer}`),
    ]);
    assertEquals(measured.sort(), wanted.sort());
    // What comes from npm may break.
    for (const { peer } of report.missing) {
      assert(["birpc", "kkrpc"].includes(peer), `${peer} is missing`);
    }
    for (const { median, medianCpu } of report.results) {
      assert(median > 0);
      assert(medianCpu > 0);
    }
  },
});

Deno.test("runtimes bench report: a ratio is that of medians on the same runtime", () => {
  const row = (runtime: string, peer: string, rounds: number[]): Row => ({
    ...{ runtime, peer, rounds, measure: "unary-64" },
    ...{ p99: rounds, cpu: rounds },
  });
  const report = makeReport({
    ...{ versions: { node24: "v24.0.0\n", bun: "1.4.0\n" }, load: 0.5 },
    ...{ rounds: 3, seconds: 1, warmup: 1 },
  }, [
    row("node24", "qtalk", [300, 100, 200]),
    row("node24", "birpc", [50, 100, 150]),
    row("bun", "birpc", [1, 1, 1]),
    { ...row("bun", "kkrpc", []), missing: "It hangs" },
  ]);
  assertEquals(report.ratios, [
    { runtime: "node24", measure: "unary-64", of: "birpc", value: 2 },
  ]);
  const table = tableOf(report);
  assertStringIncludes(table, "node24 v24.0.0, bun 1.4.0; load 0.5");
  assertStringIncludes(
    table,
    "| node24: 64 in flight, TCP |   200 | 100 (2) |",
  );
  assertStringIncludes(table, "unary-64, kkrpc on bun");
});
