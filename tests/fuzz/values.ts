/**
 * Random values that survive every codec, and damaged bytes.
 *
 * @module
 */
import type { Random } from "../support/random.ts";

const CHARACTERS = ["a", "Z", "0", "ä", "€", "😀", '"', "\\", "\n", "\u0000"];
const ODD_KEYS = ["__proto__", "constructor", "length", "", "toJSON", "0", "a"];

function anyText(random: Random): string {
  const length = random.pick([0, 1, 5, 31, 32, 40, 300]);
  return Array.from({ length }, () => random.pick(CHARACTERS)).join("");
}

function anyKey(random: Random): string {
  if (random.chance(0.2)) return random.pick(ODD_KEYS);
  return anyText(random);
}

function anyNumber(random: Random): number | bigint {
  switch (random.int(0, 4)) {
    case 0:
      return random.int(-300, 70_000);
    case 1:
      return random.int(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    case 2:
      return (random.next() - 0.5) * 10 ** random.int(-30, 9);
    case 3:
      return 2n ** 53n + BigInt(random.int(0, 2 ** 52));
    default:
      return -(2n ** 53n) - BigInt(random.int(1, 2 ** 52));
  }
}

/** A value of limited depth, with a few hundred members at most. */
export function anyValue(random: Random, depth: number): unknown {
  let left = 300;
  const sizes = [0, 1, 3, 15, 16, 40];
  const size = () => Math.min(left, random.pick(sizes));
  const value = (depth: number): unknown => {
    left--;
    switch (random.int(0, depth > 0 ? 5 : 2)) {
      case 0:
        return random.pick([null, true, false]);
      case 1:
        return anyNumber(random);
      case 2:
        return anyText(random);
      case 3:
      case 4:
        return Array.from({ length: size() }, () => value(depth - 1));
      default:
        return Object.fromEntries(
          Array.from(
            { length: size() },
            () => [anyKey(random), value(depth - 1)],
          ),
        );
    }
  };
  return value(depth);
}

/** A copy with some bytes changed, removed, inserted or repeated. */
export function damaged(
  random: Random,
  bytes: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const out = [...bytes];
  for (let i = random.int(1, 4); i > 0; i--) {
    const at = random.int(0, out.length);
    const length = random.int(0, 4);
    switch (random.int(0, 3)) {
      case 0:
        out.splice(at, length);
        break;
      case 1:
        out.splice(at, 0, ...random.bytes(length));
        break;
      case 2:
        out.splice(at, length, ...random.bytes(length));
        break;
      default:
        out.splice(random.int(0, out.length), 0, ...out.slice(at, at + 30));
    }
  }
  return new Uint8Array(out);
}
