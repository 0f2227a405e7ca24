/**
 * Reads the project's Markdown files: their links, headings and tables.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url);

/** The URL of a file of the project. */
export function projectFile(path: string): URL {
  return new URL(path, ROOT);
}

/** The text of a file of the project. */
export function read(path: string): string {
  return Deno.readTextFileSync(projectFile(path));
}

/** All files below a folder of the project, by their paths in it. */
export function* files(folder = ""): Generator<string> {
  for (const entry of Deno.readDirSync(projectFile(folder || "."))) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const path = folder + entry.name;
    if (entry.isDirectory) yield* files(`${path}/`);
    else yield path;
  }
}

/** Markdown without code: what looks like a link there is none. */
export function prose(markdown: string): string {
  return markdown.replaceAll(/^ *```[\s\S]*?^ *```$/gm, "").replaceAll(
    /`[^`]*`/g,
    (code) => code.replaceAll(/[[\]()]/g, ""),
  );
}

/** The targets of all links. */
export function links(markdown: string): string[] {
  return [...prose(markdown).matchAll(/\]\(([^)\s]+)\)/g)].map(([, l]) => l!);
}

/** The anchors that GitHub gives a document's headings. */
export function anchors(markdown: string): string[] {
  return [...prose(markdown).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(/\s/g, "-")
  );
}

/** The text below a heading of any level, up to the next heading. */
export function section(markdown: string, heading: string): string {
  const start = new RegExp(`^#+ ${RegExp.escape(heading)}$`, "m")
    .exec(markdown);
  if (start === null) throw new Error(`There is no section "${heading}"`);
  const rest = markdown.slice(start.index + start[0].length);
  const end = /^#+ /m.exec(rest);
  return rest.slice(0, end?.index);
}

/** A row of a table: its cells by the names of their columns. */
export type Row = Readonly<Record<string, string>>;

/** The rows of the first table in a text. */
export function table(markdown: string): Row[] {
  const lines = /^(?:\|.*\|\n?)+/m.exec(markdown)?.[0].trim().split("\n");
  if (lines === undefined) throw new Error("There is no table");
  const [head, _rule, ...rows] = lines.map((line) =>
    line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim())
  );
  return rows.map((cells) =>
    Object.fromEntries(head!.map((name, i) => [name, cells[i] ?? ""]))
  );
}

/** The first code in a cell. */
export function code(cell: string): string {
  const text = /`([^`]*)`/.exec(cell)?.[1];
  if (text === undefined) throw new Error(`There is no code in "${cell}"`);
  return text;
}

const UNITS: Record<string, number> = {
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  ms: 1,
  s: 1_000,
};

/** The number in `2,048`, `64 KiB`, `1 s`, `2^32 − 1` or `no limit`. */
export function quantity(text: string): number {
  if (text === "no limit") return Infinity;
  const power = /^2\^(\d+)(?: [−-] (\d+))?$/.exec(text);
  if (power !== null) return 2 ** Number(power[1]) - Number(power[2] ?? 0);
  const [, digits, unit] = /^([\d,.]+)(?: (\w+))?$/.exec(text) ?? [];
  if (digits === undefined) throw new Error(`"${text}" is not a quantity`);
  const scale = unit === undefined ? 1 : UNITS[unit];
  if (scale === undefined) throw new Error(`"${text}" has an unknown unit`);
  return Number(digits.replaceAll(",", "")) * scale;
}
