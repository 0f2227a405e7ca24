/**
 * The ids of functions, which each side makes up: where our side gave one, it
 * stands in the place of the recorded one.
 *
 * @module
 */
import { concat, utf8 } from "../support/wire.ts";
import type { Said } from "./said.ts";

const POINTER = /(?<="\$fnptr": ")[^"]{20}(?=")/g;

/** Our ids, by those in the recording. */
export class FunctionIds {
  readonly #ours = new Map<string, string>();

  /** Finds our ids where the recorded ones stand in the same values. */
  learn(ours: Said, recorded: Said): void {
    for (const [i, text] of recorded.texts.entries()) {
      if (!text.includes("$fnptr")) continue;
      const found = ours.texts[i]?.match(POINTER) ?? [];
      text.match(POINTER)?.forEach((id, j) => {
        if (found[j] !== undefined) this.#ours.set(id, found[j]);
      });
    }
  }

  /** Bytes of the recording, with our ids in them. */
  ours(payload: Uint8Array): Uint8Array {
    for (const [recorded, id] of this.#ours) {
      payload = replaced(payload, utf8(recorded), utf8(id));
    }
    return payload;
  }

  /** A text about our side, with the recorded ids in it. */
  recorded(text: string): string {
    for (const [recorded, id] of this.#ours) {
      text = text.replaceAll(id, recorded);
    }
    return text;
  }
}

/** Bytes with the first occurrence of others replaced by as many. */
function replaced(
  bytes: Uint8Array,
  from: Uint8Array,
  to: Uint8Array,
): Uint8Array {
  const at = bytes.findIndex((_, i) =>
    from.every((byte, j) => bytes[i + j] === byte)
  );
  return at < 0
    ? bytes
    : concat(bytes.subarray(0, at), to, bytes.subarray(at + to.length));
}
