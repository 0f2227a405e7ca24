import { endOfString } from "./scan.ts";

const QUOTE = 0x22, COLON = 0x3a;
const OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d;

/** The number of keys of an object: colons outside strings and inner objects. */
export function keyCount(bytes: Uint8Array): number {
  let depth = 0;
  let count = 0;
  for (let i = 0; i < bytes.length; i++) {
    switch (bytes[i]) {
      case QUOTE:
        i = endOfString(bytes, i + 1);
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        depth++;
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        depth--;
        break;
      case COLON:
        if (depth === 1) count++;
    }
  }
  return count;
}
