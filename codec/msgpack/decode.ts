import { Form, type Leaf, malformed, scanMsgpack } from "./scan.ts";
import { isSlot, Slots } from "./slots.ts";

/**
 * Decodes a value with a library, as documented by {@linkcode msgpack}.
 *
 * @throws {CodecError} `malformed`, `truncated` or `too-deep`
 */
export function decodeMsgpack(
  bytes: Uint8Array,
  maxDepth: number,
  decode: (bytes: Uint8Array) => unknown,
): unknown {
  const slots = new Slots();
  const rewriter = new Rewriter(bytes, slots);
  scanMsgpack(bytes, maxDepth, (leaf) => rewriter.look(leaf));
  const value = decode(rewriter.bytes);
  return slots.empty ? value : restore(value, slots);
}

/** Replaces the values that libraries decode differently by slots. */
class Rewriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #slots: Slots;
  readonly #parts: Uint8Array[] = [];
  #copied = 0;

  constructor(bytes: Uint8Array, slots: Slots) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#slots = slots;
  }

  /** The bytes that the library decodes. */
  get bytes(): Uint8Array {
    if (this.#copied === 0) return this.#bytes;
    this.#parts.push(this.#bytes.subarray(this.#copied));
    const out = new Uint8Array(
      this.#parts.reduce((size, part) => size + part.length, 0),
    );
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  look(leaf: Leaf): void {
    const { form, payload, end, isKey } = leaf;
    if (leaf.isString) {
      if (isKey) return checkKey(this.#bytes.subarray(payload, end));
      if (isAscii(this.#bytes, payload, end)) return;
      // Libraries treat byte order marks and invalid UTF-8 differently.
      this.#replace(leaf, this.#slots.put(this.#text(payload, end)));
    } else if (form >= Form.BIN_8 && form <= Form.BIN_32) {
      // A library may return a view of these bytes, or a class of its own.
      this.#replace(leaf, this.#slots.put(this.#bytes.slice(payload, end)));
    } else if (form === Form.FLOAT_64) {
      const number = this.#view.getFloat64(payload);
      if (isSlot(number)) this.#replace(leaf, this.#slots.put(number));
    } else if (form === Form.UINT_64 || form === Form.INT_64) {
      const integer = form === Form.UINT_64
        ? this.#view.getBigUint64(payload)
        : this.#view.getBigInt64(payload);
      const number = Number(integer);
      const safe = Number.isSafeInteger(number);
      if (isKey && !safe) throw malformed("the key of a map is beyond 2^53");
      this.#replace(leaf, safe ? number : this.#slots.put(integer));
    }
  }

  #text(start: number, end: number): string {
    return new TextDecoder("utf-8", { ignoreBOM: true })
      .decode(this.#bytes.subarray(start, end));
  }

  #replace({ start, end }: Leaf, number: number): void {
    const float = new Uint8Array(9);
    float[0] = Form.FLOAT_64;
    new DataView(float.buffer).setFloat64(1, number);
    this.#parts.push(this.#bytes.subarray(this.#copied, start), float);
    this.#copied = end;
  }
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if (bytes[i]! > 0x7f) return false;
  }
  return true;
}

/** Refuses keys that libraries decode differently. */
function checkKey(bytes: Uint8Array): void {
  if (isAscii(bytes, 0, bytes.length) && bytes.length !== 9) return;
  let key: string;
  try {
    key = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(bytes);
  } catch {
    throw malformed("the key of a map is not valid UTF-8");
  }
  if (key === "__proto__" || key.startsWith("\ufeff")) {
    throw malformed(`${JSON.stringify(key)} cannot be the key of a map`);
  }
}

/** Puts the replaced values back into the decoded value. */
function restore(value: unknown, slots: Slots): unknown {
  if (typeof value === "number") {
    return isSlot(value) ? slots.get(value) : value;
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = restore(value[i], slots);
  } else if (typeof value === "object" && value !== null) {
    const record = value as Record<string, unknown>;
    for (const key of Object.keys(record)) {
      record[key] = restore(record[key], slots);
    }
  }
  return value;
}
