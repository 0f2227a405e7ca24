import type { ObservedValue } from "../../observe/events.ts";
import type { Line } from "./segments.ts";

/** How deep a value is shown. */
const MAX_DEPTH = 32;
/** Bytes that are shown of bytes. */
const MAX_BYTES = 24;

/** Names what a pointer in a value stands for. */
export type PointerName = (id: string) => string;

/** Adds a value, as what it was decoded to, or else its bytes. */
export function addValue(
  line: Line,
  { value, decoded, bytes, size }: ObservedValue,
  nameOf: PointerName,
): void {
  if (decoded) return add(line, value, nameOf, 0);
  // The beginning of a long value in JSON is text as it is.
  const text = bytes.length < size ? textOf(bytes) : undefined;
  if (text === undefined) return addBytes(line, bytes, size);
  line.add(`${sizeText(size)}: `, "dim").add(text);
}

/** Adds the elements of an array as arguments. */
export function addArguments(
  line: Line,
  values: readonly unknown[],
  nameOf: PointerName,
): void {
  addList(line, values, (value) => add(line, value, nameOf, 1));
}

/** Adds any value, such as a member of a header. */
export function addAny(line: Line, value: unknown, nameOf: PointerName): void {
  add(line, value, nameOf, 0);
}

/** Adds the size of bytes and their beginning. */
export function addBytes(line: Line, bytes: Uint8Array, size: number): void {
  addHead(line.add(`${sizeText(size)} `, "dim"), bytes, size);
}

/** Adds bytes: as text if they look like it, else as hexadecimal digits. */
export function addHead(line: Line, bytes: Uint8Array, size: number): void {
  const text = textOf(bytes);
  if (text !== undefined) {
    line.add(JSON.stringify(text), "green");
    if (bytes.length < size) line.add("…", "dim");
  } else {
    const digits = Array.from(
      bytes.subarray(0, MAX_BYTES),
      (byte) => byte.toString(16).padStart(2, "0"),
    ).join(" ");
    line.add("<", "dim").add(digits, "magenta");
    line.add(size > MAX_BYTES ? " …>" : ">", "dim");
  }
}

/** A number of bytes, in three digits. */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const [unit, divisor] = bytes < 2 ** 20
    ? ["KiB", 1024]
    : bytes < 2 ** 30
    ? ["MiB", 2 ** 20]
    : ["GiB", 2 ** 30];
  const value = bytes / (divisor as number);
  return `${value >= 100 ? Math.round(value) : value.toFixed(1)} ${unit}`;
}

/** The ID of a function or a stream, if the value is a pointer to one. */
export function pointerOf(value: object): string | undefined {
  const keys = Object.keys(value);
  if (keys.length !== 1 || keys[0] !== "$fnptr") return undefined;
  const id = (value as { $fnptr: unknown }).$fnptr;
  return typeof id === "string" ? id : undefined;
}

/** The text of bytes that are UTF-8 without odd control characters. */
function textOf(bytes: Uint8Array): string | undefined {
  let text;
  try {
    // What was cut within a character is still text.
    text = new TextDecoder("utf-8", { fatal: true })
      .decode(bytes, { stream: true });
  } catch {
    return undefined;
  }
  // deno-lint-ignore no-control-regex
  return text === "" || /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]/.test(text)
    ? undefined
    : text;
}

function add(
  line: Line,
  value: unknown,
  nameOf: PointerName,
  depth: number,
): void {
  if (line.isFull) return;
  if (depth > MAX_DEPTH) return void line.add("…", "dim");
  if (value === null || value === undefined) {
    return void line.add("null", "blue");
  }
  switch (typeof value) {
    case "boolean":
      return void line.add(String(value), "blue");
    case "number":
    case "bigint":
      return void line.add(String(value), "yellow");
    case "string":
      return void line.add(JSON.stringify(value), "green");
    case "object":
      return addObject(line, value, nameOf, depth);
    default:
      return void line.add(String(value));
  }
}

function addObject(
  line: Line,
  value: object,
  nameOf: PointerName,
  depth: number,
): void {
  const inner = (value: unknown) => add(line, value, nameOf, depth + 1);
  if (value instanceof Uint8Array) return addBytes(line, value, value.length);
  if (value instanceof Date) {
    const time = value.getTime();
    const text = Number.isNaN(time) ? "Invalid Date" : value.toISOString();
    return void line.add(text, "yellow");
  }
  if (Array.isArray(value) || value instanceof Set) {
    const name = Array.isArray(value) ? "" : "Set ";
    line.add(`${name}[`);
    addList(line, value, inner);
    return void line.add("]");
  }
  const id = pointerOf(value);
  if (id !== undefined) return void line.add(nameOf(id), "magenta");
  const isMap = value instanceof Map;
  line.add(isMap ? "Map {" : "{");
  addList(line, isMap ? value : Object.entries(value), ([key, item]) => {
    if (typeof key === "string") line.add(keyText(key), "cyan");
    else inner(key);
    line.add(isMap ? " => " : ": ");
    inner(item);
  });
  line.add("}");
}

function keyText(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key);
}

function addList<T>(
  line: Line,
  items: Iterable<T>,
  addItem: (item: T) => void,
): void {
  let separator = "";
  for (const item of items) {
    if (line.isFull) return;
    line.add(separator);
    addItem(item);
    separator = ", ";
  }
}
