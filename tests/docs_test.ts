import { assert, assertEquals } from "@std/assert";
import { DEFAULT_MAX_DEPTH } from "@qtalk/qtalk/codec";
import { DEFAULT_SESSION_OPTIONS } from "@qtalk/qtalk/mux";
import { DEFAULT_MAX_CALLBACKS } from "../rpc/callback/callback_table.ts";
import { DEFAULT_PEER_LIMITS } from "@qtalk/qtalk/talk";

const ROOT = new URL("../", import.meta.url);
const LAYERS = ["codec", "mux", "rpc", "talk"];

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** All files below a folder of the project, by their paths in it. */
function* files(folder = ""): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder || ".", ROOT))) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const path = folder + entry.name;
    if (entry.isDirectory) yield* files(`${path}/`);
    else yield path;
  }
}

/** Markdown without code: what looks like a link there is none. */
function prose(markdown: string): string {
  return markdown.replaceAll(/^```[\s\S]*?^```$/gm, "").replaceAll(
    /`[^`]*`/g,
    (code) => code.replaceAll(/[[\]()]/g, ""),
  );
}

/** The anchors that GitHub gives a document's headings. */
function anchors(markdown: string): string[] {
  return [...prose(markdown).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(/\s/g, "-")
  );
}

function exists(url: URL): boolean {
  try {
    Deno.statSync(url);
    return true;
  } catch {
    return false;
  }
}

/** The rows of a document's tables, by what stands first in them as code. */
function rows(path: string): Map<string, string> {
  const found = read(path).matchAll(/^\| \[?`(\w+)`(?:\]\S*)? +\| (.*) \|$/gm);
  return new Map([...found].map(([, name, rest]) => [name!, rest!]));
}

/** A number as people write it: `2,048`, `64 KiB`, `1 s`. */
function quantity(text: string): number {
  const [, digits, unit] = /^([\d,]+)(?: (\w+))?/.exec(text) ?? [];
  assert(digits, `"${text}" begins with a number`);
  const units: Record<string, number> = { KiB: 2 ** 10, MiB: 2 ** 20, s: 1e3 };
  return Number(digits.replaceAll(",", "")) * (unit ? units[unit] ?? NaN : 1);
}

for (const path of files()) {
  if (!path.endsWith(".md")) continue;
  Deno.test(`docs: every link of ${path} to this project leads somewhere`, () => {
    for (const [, link] of prose(read(path)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^\w+:/.test(link!)) continue;
      const url = new URL(link!, new URL(path, ROOT));
      const anchor = decodeURIComponent(url.hash.slice(1));
      url.hash = "";
      assert(exists(url), `${path} links to ${link}`);
      if (anchor === "") continue;
      const headings = anchors(Deno.readTextFileSync(url));
      assert(headings.includes(anchor), `${path} links to ${link}`);
    }
  });
}

Deno.test("docs: the README's table of limits has every default as it is", () => {
  const limits: Record<string, number> = {
    ...DEFAULT_SESSION_OPTIONS,
    maxValueSize: DEFAULT_PEER_LIMITS.maxValueSize,
    maxConcurrentCalls: DEFAULT_PEER_LIMITS.maxConcurrentCalls,
    maxCallbacks: DEFAULT_MAX_CALLBACKS,
    maxDepth: DEFAULT_MAX_DEPTH,
  };
  const table = rows("README.md");
  for (const [name, value] of Object.entries(limits)) {
    const row = table.get(name);
    assert(row, `the README has a row for ${name}`);
    assertEquals(quantity(row), value, name);
  }
});

Deno.test("docs: the README's table of errors has every code, and no other", () => {
  const table = rows("README.md");
  for (const layer of LAYERS) {
    const source = read(`${layer}/errors.ts`);
    const [, name, union] =
      /export type (\w+Error)Code =((?:\s+\| "[\w-]+")+);/.exec(source) ?? [];
    const quoted = (text: string, mark: string) =>
      text.split(mark).filter((_, i) => i % 2 === 1).sort();
    const row = table.get(name!) ?? "";
    assertEquals(quoted(row, "`"), quoted(union!, '"'), name);
  }
});

Deno.test("docs: ARCHITECTURE.md names every file of the library, and no other", () => {
  const text = read("ARCHITECTURE.md");
  const chapter = text.slice(
    text.indexOf("\n## Files"),
    text.indexOf("\n### The rest"),
  );
  const named = chapter.split("\n### `").slice(1).flatMap((section) => {
    const folder = section.slice(0, section.indexOf("`"));
    const cells = [...section.matchAll(/^\| (.*?) \|/gm)].map(([, c]) => c!);
    return cells.flatMap((cell) =>
      [...cell.matchAll(/`([\w/]+\.ts)`/g)].map(([, file]) => folder + file)
    );
  });
  const real = LAYERS.flatMap((layer) => [...files(`${layer}/`)])
    .filter((path) => /(?<!_test)\.ts$/.test(path));
  assertEquals(named.sort(), real.sort());
});
