/**
 * What one side has said on one channel.
 *
 * @module
 */
import { concat, type Frame, toHex } from "../support/wire.ts";
import {
  type CodecName,
  notation,
  readValue,
  type WireMap,
} from "./wire_value.ts";

/** Which end of a call: the one that opened the channel, or the other. */
export type Role = "call" | "response";

/**
 * After how many values the rest is bytes, for the selectors that become
 * streams of bytes; the header is a value.
 */
const BYTES_AFTER: Record<string, Partial<Record<Role, number>>> = {
  bytes: { call: 2, response: 2 },
  Bytes: { call: 2, response: 2 },
  greet: { call: 2, response: 2 },
  sink: { call: 2 },
  source: { response: 2 },
  "die-in-bytes": { response: 2 },
};

/** What a payload is made of. */
interface Parsed {
  /** The values that are complete, the header first. */
  values: Uint8Array[];
  /** What is left: plain bytes, or those of a value that is not complete. */
  bytes: Uint8Array;
  cut: boolean;
}

/** Gathers frames, and reads them as a header, values and bytes. */
export class Said {
  /** How it answered OPEN, if it is not the side that opened. */
  answer: Frame["type"] | undefined;
  /** Whether it sent EOF. */
  ended = false;
  /** CLOSE frames. */
  closes = 0;
  readonly #codec: CodecName;
  readonly #role: Role;
  readonly #call: Said;
  #payload = new Uint8Array(0);
  #read: Parsed | undefined;
  #texts: readonly string[] | undefined;

  /**
   * Makes an empty one.
   *
   * @param call what the opening side says, if this is the other
   */
  constructor(codec: CodecName, role: Role, call?: Said) {
    this.#codec = codec;
    this.#role = role;
    this.#call = call ?? this;
  }

  /** Adds a frame. */
  take(frame: Frame): void {
    if (frame.type === "data") {
      this.#payload = concat(this.#payload, frame.payload);
      this.#read = this.#texts = undefined;
    } else if (frame.type === "close") this.closes++;
    else if (frame.type === "eof") this.ended = true;
    else if (frame.type === "open-confirm" || frame.type === "open-failure") {
      this.answer = frame.type;
    }
  }

  /** Bytes of the header, once its length is known; else 0. */
  get headerSize(): number {
    return this.#payload.length < 4
      ? 0
      : new DataView(this.#payload.buffer).getUint32(0);
  }

  /** The values that are complete, the header first. */
  get values(): Uint8Array[] {
    return this.#parsed().values;
  }

  /** The selector of the call in one form, once the header is complete. */
  get selector(): string | undefined {
    return clean(this.selectorAsSent);
  }

  /** The selector of the call as the caller wrote it. */
  get selectorAsSent(): string | undefined {
    return this.#selectorIn(this.#call.values[0]);
  }

  /** Whether it has as many values, bytes and CLOSEs as another. */
  reached(other: Said): boolean {
    const { values, bytes, cut } = this.#parsed();
    return values.length >= other.values.length &&
      (cut || bytes.length >= other.#parsed().bytes.length) &&
      this.closes >= other.closes &&
      (this.ended || !other.ended) &&
      (this.answer !== undefined || other.answer === undefined);
  }

  /** Each value as it is compared, without the header. */
  get texts(): readonly string[] {
    return this.#texts ??= this.values.slice(1).map((value) =>
      notation(readValue(this.#codecSpoken, value))
    );
  }

  /** The codec of the values: a call in the wrong one may be answered in JSON. */
  get #codecSpoken(): CodecName {
    return this.values[0]?.[0] === 0x7b ? "json" : this.#codec;
  }

  /** The lines to compare, each with a name. */
  *lines(): Generator<[name: string, text: string]> {
    if (this.answer !== undefined) yield ["answer", this.answer];
    const [header] = this.values;
    if (header !== undefined) {
      const read = readValue(this.#codecSpoken, header) as WireMap;
      yield ["header", notation(headerOf(read, this.#role))];
    }
    for (const [i, text] of this.texts.entries()) {
      yield [`value ${i + 1}`, text];
    }
    const { bytes, cut } = this.#parsed();
    if (bytes.length > 0) {
      yield [cut ? "part of a value" : "bytes", toHex(bytes)];
    }
    if (this.ended) yield ["EOF", "sent"];
    if (this.closes > 0) yield ["CLOSE", String(this.closes)];
  }

  #parsed(): Parsed {
    return this.#read ??= this.#parse();
  }

  #parse(): Parsed {
    const bytes = this.#payload;
    const view = new DataView(bytes.buffer);
    const values: Uint8Array[] = [];
    let most = 1;
    let at = 0;
    while (at + 4 <= bytes.length && values.length < most) {
      const end = at + 4 + view.getUint32(at);
      if (end > bytes.length) break;
      values.push(bytes.subarray(at + 4, end));
      at = end;
      const call = this.#call === this ? values : this.#call.values;
      const selector = clean(this.#selectorIn(call[0]));
      most = BYTES_AFTER[selector ?? ""]?.[this.#role] ?? Infinity;
    }
    return { values, bytes: bytes.subarray(at), cut: values.length < most };
  }

  #selectorIn(header: Uint8Array | undefined): string | undefined {
    if (header === undefined) return undefined;
    const fields = readValue(this.#codec, header) as WireMap;
    return String(fields.get(notation("Selector")));
  }
}

function clean(selector: string | undefined): string | undefined {
  return selector?.replaceAll(".", "/").replace(/^\//, "");
}

/** The keys of a header, with those of the other dialect that say the same. */
const KEYS: Record<Role, Record<string, string>> = {
  call: { Selector: "S" },
  response: { Error: "E", Continue: "C" },
};
/** The key of what only this library sends, in headers of both kinds. */
const NOTE = notation("Q");

/**
 * A header as both implementations write it: without the keys of ours that the
 * reference does not know, as long as they say the same as those that it does.
 */
function headerOf(header: WireMap, role: Role): WireMap {
  const essence: WireMap = new Map(header);
  for (const [long, short] of Object.entries(KEYS[role])) {
    const value = notation(essence.get(notation(long)) ?? null);
    const same = notation(essence.get(notation(short)) ?? null);
    if (value === same) essence.delete(notation(short));
  }
  essence.delete(NOTE);
  return essence;
}
