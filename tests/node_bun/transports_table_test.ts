// The table of docs/transports.md that says which test shows that a transport works
// on which runtime.

import { assert, assertEquals } from "@std/assert";
import { read, section, table } from "../support/docs.ts";
import type { Runtimes } from "./runtimes.ts";
import { runsOn } from "./suites.ts";

const ROWS = table(section(read("docs/transports.md"), "Runtimes"));

/** The columns of the runtimes on which the suites run. */
const RUNTIMES: Record<string, keyof Runtimes> = {
  "Node 22": "node",
  "Node 24": "node24",
  "Bun 1": "bun",
};

/** Files of tests that start other runtimes themselves. */
const STARTERS = /^tests\/(?:node_bun|npm)\//;

/** The tests that a cell names. */
function testsIn(cell: string): { path: string; name: string }[] {
  return [...cell.matchAll(/`([^`]+_test\.ts)`((?:,? "[^"]+")+)/g)]
    .flatMap(([, path, names]) =>
      [...names!.matchAll(/"([^"]+)"/g)].map(([, name]) => ({
        path: path!,
        name: name!,
      }))
    );
}

/** Whether a file has the name of a test, or a template that gives it. */
function hasTest(source: string, name: string): boolean {
  if (source.includes(`"${name}"`)) return true;
  return [...source.matchAll(/`([^`]*)`/g)].some(([, template]) => {
    const fixed = template!.split(/\$\{[^}]*\}/);
    // What is fixed must say more than which file it is.
    if (fixed.join("").length < 20) return false;
    const pattern = fixed.map((part) => RegExp.escape(part)).join(".+");
    return new RegExp(`^${pattern}$`).test(name);
  });
}

Deno.test("docs: the table of transports has all runtimes, and every cell says something", () => {
  assert(ROWS.length > 10, "there are rows");
  for (const row of ROWS) {
    assertEquals(Object.keys(row).slice(1), [
      "Deno 2.9.6",
      "Deno 2.0.0",
      ...Object.keys(RUNTIMES),
      "Chromium",
      "worker",
    ]);
    for (const cell of Object.values(row)) assert(cell !== "");
  }
});

Deno.test("docs: the tests that the table of transports names exist", () => {
  let named = 0;
  for (const row of ROWS) {
    for (const { path, name } of Object.values(row).flatMap(testsIn)) {
      assert(hasTest(read(path), name), `there is no "${name}" in ${path}`);
      named++;
    }
  }
  assert(named > 60, `named only ${named}`);
});

Deno.test("docs: the tests that the table of transports names run on the runtime of their column", () => {
  for (const row of ROWS) {
    for (const [column, runtime] of Object.entries(RUNTIMES)) {
      for (const { path, name } of testsIn(row[column]!)) {
        if (STARTERS.test(path)) continue;
        assert(runsOn(runtime, path, name), `${name} on ${column}`);
      }
    }
  }
});

Deno.test("docs: a test that does not exist would be found in the table of transports", () => {
  const source = 'test("qmux: it works"); test(`tcp: dial() ${what} of ${x}`);';
  assert(hasTest(source, "qmux: it works"));
  assert(!hasTest(source, "qmux: it"));
  assert(!hasTest(source, "tcp: dial() fails"));
  assert(!runsOn("bun", "talk/cli/main_test.ts", "qtalk: it works"));
});
