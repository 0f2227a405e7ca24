import { Form, integer, type MsgpackScanner } from "./scan.ts";
import { isSlot, Slots } from "./slots.ts";

/** The size in bytes of a double with its form: what is in a slot's place. */
const SLOT_SIZE = 9;

/** As in JSON, invalid UTF-8 becomes U+FFFD. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Decodes a value with the library, as documented for `msgpack()`.
 *
 * @param bytes the whole value
 * @param scanner the scanner, which has just checked the value
 * @param decode the function of the library
 */
export function decodeMsgpack(
  bytes: Uint8Array,
  scanner: MsgpackScanner,
  decode: (bytes: Uint8Array) => unknown,
): unknown {
  const { specials } = scanner;
  if (specials.length === 0) return decode(bytes);
  const slots = new Slots();
  // A slice of Node's Buffer would be a view.
  const plain = bytes.constructor === Uint8Array
    ? bytes
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const value = decode(replaceSpecials(plain, specials, slots));
  return slots.empty ? value : restore(value, slots);
}

/** Replaces the values that libraries decode differently. */
function replaceSpecials(
  bytes: Uint8Array,
  specials: readonly number[],
  slots: Slots,
): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let size = bytes.length;
  for (let i = 0; i < specials.length; i += 3) {
    size += SLOT_SIZE - (specials[i + 2]! - specials[i]!);
  }
  const out = new Uint8Array(size);
  const outView = new DataView(out.buffer);
  let copied = 0;
  let to = 0;
  for (let i = 0; i < specials.length; i += 3) {
    const start = specials[i]!;
    const payload = specials[i + 1]!;
    const end = specials[i + 2]!;
    // Parts are short, so that a loop is faster than `set()`.
    while (copied < start) out[to++] = bytes[copied++]!;
    out[to] = Form.FLOAT_64;
    outView.setFloat64(to + 1, number(bytes, view, start, payload, end, slots));
    to += SLOT_SIZE;
    copied = end;
  }
  out.set(bytes.subarray(copied), to);
  return out;
}

/** Returns the number that replaces a special value. */
function number(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  payload: number,
  end: number,
  slots: Slots,
): number {
  const form = bytes[start]!;
  switch (form) {
    case Form.UINT_64:
    case Form.INT_64: {
      const rounded = integer(bytes, start, 8);
      if (Number.isSafeInteger(rounded)) return rounded;
      return slots.put(
        form === Form.UINT_64
          ? view.getBigUint64(payload)
          : view.getBigInt64(payload),
      );
    }
    case Form.FLOAT_64:
      return slots.put(view.getFloat64(payload));
  }
  const isBytes = form >= Form.BIN_8 && form <= Form.BIN_32;
  // The bytes of a library would be a view, or a class of its own, and texts
  // would differ in byte order marks and invalid UTF-8.
  return slots.put(
    isBytes
      ? bytes.slice(payload, end)
      : decoder.decode(bytes.subarray(payload, end)),
  );
}

/** Returns a value with what the slots in it stand for. */
function restore(value: unknown, slots: Slots): unknown {
  if (typeof value === "number") {
    return isSlot(value) ? slots.get(value) : value;
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const element: unknown = value[i];
      if (mayChange(element)) value[i] = restore(element, slots);
    }
  } else if (typeof value === "object" && value !== null) {
    const record = value as Record<string, unknown>;
    for (const key of Object.keys(record)) {
      const member = record[key];
      if (mayChange(member)) record[key] = restore(member, slots);
    }
  }
  return value;
}

function mayChange(value: unknown): boolean {
  return typeof value === "number" ? isSlot(value) : typeof value === "object";
}
