import { Form, type MsgpackScanner } from "./scan.ts";
import { isSlot, Slots } from "./slots.ts";
import { Normalizer } from "../normalizer.ts";

/** The values that a library must encode. */
export type MsgpackValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | MsgpackValue[]
  | { [key: string]: MsgpackValue };

/**
 * Encodes a value with a library, as documented by {@linkcode msgpack}.
 *
 * @param value the value
 * @param maxDepth how deep it may be nested
 * @param scanner scans what the library encodes: it must allow that depth, and
 * any number of items
 * @param encode the function of the library
 * @throws {CodecError} `unsupported-type` or `too-deep`
 */
export function encodeMsgpack(
  value: unknown,
  maxDepth: number,
  scanner: MsgpackScanner,
  encode: (value: MsgpackValue) => Uint8Array,
): Uint8Array {
  const slots = new Slots();
  const plain = new MsgpackNormalizer(slots).normalize(value, maxDepth);
  const bytes = encode(plain as MsgpackValue);
  if (!slots.empty) fillSlots(bytes, scanner, slots);
  return bytes;
}

class MsgpackNormalizer extends Normalizer {
  readonly #slots: Slots;

  constructor(slots: Slots) {
    super("MessagePack");
    this.#slots = slots;
  }

  protected override number(value: number): number {
    if (Number.isSafeInteger(value)) {
      if (value >= -(2 ** 31) && value < 2 ** 32) return value + 0;
      // Some libraries encode larger integers as floats, which a typed peer
      // does not accept as integers.
      return this.#slots.put(BigInt(value));
    }
    return isSlot(value) ? this.#slots.put(value) : value;
  }

  protected override bigint(value: bigint): number {
    const number = Number(value);
    if (Number.isSafeInteger(number)) return this.number(number);
    if (value !== BigInt.asIntN(64, value)) {
      if (value !== BigInt.asUintN(64, value)) {
        throw this.unsupported("a bigint beyond 64 bits");
      }
    }
    return this.#slots.put(value);
  }

  protected override bytes(value: Uint8Array): Uint8Array {
    return value;
  }

  protected override string(value: string): string {
    return value.toWellFormed();
  }

  protected override key(key: string): string {
    // Libraries decode these differently, some not even as they encoded them.
    if (key === "__proto__" || key.startsWith("\ufeff")) {
      throw this.unsupported(`the key ${JSON.stringify(key)}`);
    }
    return key.toWellFormed();
  }
}

/** Writes the replaced values; a double and a 64-bit integer have the same size. */
function fillSlots(
  bytes: Uint8Array,
  scanner: MsgpackScanner,
  slots: Slots,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  scanner.scan(bytes);
  const { specials } = scanner;
  for (let i = 0; i < specials.length; i += 3) {
    const start = specials[i]!;
    const payload = specials[i + 1]!;
    if (bytes[start] !== Form.FLOAT_64) continue;
    const value = slots.get(view.getFloat64(payload));
    if (typeof value === "number") {
      view.setFloat64(payload, value);
    } else if (typeof value === "bigint") {
      bytes[start] = value < 0n ? Form.INT_64 : Form.UINT_64;
      view.setBigUint64(payload, BigInt.asUintN(64, value));
    }
  }
}
