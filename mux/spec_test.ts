/** Checks statements of mux/SPEC.md against the code and the tests. */
import { encodeFrame, type Frame } from "../tests/support/wire.ts";
import { assert, assertEquals } from "@std/assert";
import { DEFAULT_SESSION_OPTIONS } from "./options.ts";

const ROOT = new URL("../", import.meta.url);

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

const SPEC = read("mux/SPEC.md");

/** The cells of the table rows after a heading. */
function table(heading: string): string[][] {
  const section = SPEC.split(/^## /m).find((part) => part.startsWith(heading));
  assert(section !== undefined, `there is a heading "${heading}"`);
  return section.split("\n").filter((line) => line.startsWith("| "))
    .map((line) => line.slice(2, -2).split(" | ").map((cell) => cell.trim()))
    .slice(2);
}

/** A quantity as the document writes it: `2,048`, `64 KiB`, `1 s`. */
function quantity(text: string): number {
  const [, digits, unit = ""] = /^([\d,]+)(?: (\w+))?$/.exec(text) ?? [];
  const factor = { "": 1, KiB: 1024, MiB: 1024 * 1024, s: 1_000 }[unit];
  return Number(digits?.replaceAll(",", "")) * (factor ?? NaN);
}

Deno.test("mux/SPEC.md: lists all limits with their defaults", () => {
  const rows = table("Limits").map(([name, value]) =>
    [name!.replaceAll("`", ""), quantity(value!)] as const
  );
  assertEquals(Object.fromEntries(rows), { ...DEFAULT_SESSION_OPTIONS });
});

Deno.test("mux/SPEC.md: lists the frames with their types and lengths", () => {
  const payload = new Uint8Array(0);
  const number = {
    sender: 0,
    recipient: 0,
    window: 0,
    maxPacketSize: 0,
    bytes: 0,
  };
  const types: Record<string, Frame["type"]> = {
    OPEN: "open",
    OPEN_CONFIRM: "open-confirm",
    OPEN_FAILURE: "open-failure",
    WINDOW_ADJUST: "window-adjust",
    DATA: "data",
    EOF: "eof",
    CLOSE: "close",
  };
  const rows = table("Frames");
  assertEquals(rows.map(([, name]) => name), Object.keys(types));
  for (const [type, name, fields, length] of rows) {
    const frame = { ...number, payload, type: types[name!]! } as Frame;
    const bytes = encodeFrame(frame);
    assertEquals(bytes[0], Number(type));
    assertEquals(bytes.length, parseInt(length!));
    const count = fields!.replace(", payload", "").split(", ").length;
    assertEquals(bytes.length, 1 + 4 * count);
  }
});

Deno.test("mux/SPEC.md: names tests of closing that exist", () => {
  const sources = ["closing", "closing_wire_test", "flow", "transport_end_test"]
    .map((name) => read(`tests/conformance/${name}.ts`)).join("\n");
  const closing = SPEC.slice(SPEC.indexOf("In `tests/conformance/`"));
  const names = closing.slice(0, closing.indexOf("`tests/interop/` tests"))
    .matchAll(/"([^"]+)"/g);
  const named = [...names].map(([, name]) => name!.replaceAll(/\s+/g, " "));
  assert(named.length > 15, String(named.length));
  for (const name of named) assert(sources.includes(name), name);
});

Deno.test("mux/SPEC.md: has a test for each event of the closing table", () => {
  const source = read("tests/conformance/closing.ts");
  const quoted = [...source.matchAll(/"([^"\n]* \| [^"\n]*)"/g)]
    .map(([, name]) => name!.split(" | ")[0]!);
  for (const [event] of table("Closing")) {
    const words = event!.replace(/^\d+ /, "").replaceAll("`", "");
    // Row 9 is about chunks and not about closing; it has its test in flow.ts.
    if (words.startsWith("a chunk")) continue;
    assert(
      quoted.some((name) => words.startsWith(name) || name.startsWith(words)),
      words,
    );
  }
});

Deno.test("mux/SPEC.md: names tests of messages that exist", () => {
  const section = SPEC.slice(SPEC.indexOf("\n## Over messages"));
  let source = "";
  let count = 0;
  for (const [reference] of section.matchAll(/\(`[^)]*_test\.ts`[^]*?"\)/g)) {
    for (const [, path, name] of reference.matchAll(/`([^`]+)`|"([^"]+)"/g)) {
      if (path !== undefined) source = read(`mux/${path}`);
      else {
        const words = name!.replaceAll(/\s+/g, " ");
        assert(source.includes(words), words);
        count++;
      }
    }
  }
  assert(count > 10, String(count));
});

/** The texts in a module, as patterns: whatever is computed can be anything. */
function textsOf(path: string): RegExp[] {
  const code = read(path).replaceAll(/\/\*[^]*?\*\//g, "");
  return [...code.matchAll(/`([^`]+)`|"([^"\n]+)"/g)]
    .map(([, template, literal]) => (template ?? literal!).split(/\$\{[^}]*\}/))
    .filter((parts) => /\w+ \w+ \w+/.test(parts.join("")))
    .map((parts) => parts.map((part) => RegExp.escape(part)).join(".+"))
    .map((pattern) => new RegExp(`${pattern}$`));
}

Deno.test("mux/SPEC.md: has the messages of violations as they are thrown", () => {
  const texts = [
    "wire/frame",
    "wire/frame_queue",
    "table/channel_table",
    "flow/windows",
    "session",
  ].flatMap((name) => textsOf(`mux/${name}.ts`));
  const rows = table("Violations");
  assertEquals(rows.length, 11);
  for (const [, message] of rows) {
    const whole = `Cannot continue session: ${message!.replaceAll("`", "")}`;
    assert(texts.some((text) => text.test(whole)), message);
  }
});

Deno.test("mux/resume/SPEC.md: names tests that exist", () => {
  const spec = read("mux/resume/SPEC.md");
  let source = "";
  let count = 0;
  for (
    const [reference] of spec.matchAll(
      /^\(`(?:handshake\/)?\w+_test\.ts`[^]*?"\)$/gm,
    )
  ) {
    for (const [, path, name] of reference.matchAll(/`([^`]+)`|"([^"]+)"/g)) {
      if (path !== undefined) source = read(`mux/resume/${path}`);
      else {
        const words = name!.replaceAll(/\s+/g, " ");
        assert(source.includes(words), words);
        count++;
      }
    }
  }
  assert(count > 20, String(count));
});
