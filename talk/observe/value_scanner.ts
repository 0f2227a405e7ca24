import { readUint32 } from "../../uint32.ts";
import { concat } from "../../view.ts";
import { Capture, type CaptureBudget } from "./capture.ts";

/** Bytes of the length before each value. */
const PREFIX_SIZE = 4;
/** A longer value is taken for bytes. */
const MAX_VALUE_SIZE = 256 * 1024 * 1024;

const NOTHING = new Uint8Array(0);

/** What a {@linkcode ValueScanner} finds. */
export interface ScannerSink {
  /**
   * A complete value; `bytes` is what was kept of it, valid during the call.
   * Returns whether it is one: if not, it and all that follows are bytes.
   */
  onValue(bytes: Uint8Array, size: number): boolean;
  /** A length of 0. Returns whether it may stand where it does. */
  onEmpty(): boolean;
  /** Whether a value, whose first byte this is, may stand here. */
  mayBegin(firstByte: number): boolean;
  /** Bytes that are no values: how many, and those of them that were kept. */
  onBytes(piece: Uint8Array, size: number): void;
}

/** Splits one direction of a channel into values, or finds that they are none. */
export class ValueScanner {
  readonly #sink: ScannerSink;
  readonly #prefix = new Uint8Array(PREFIX_SIZE);
  readonly #capture: Capture;
  #prefixLength = 0;
  /** The size of the current value, if its prefix is complete. */
  #size = 0;
  /** Bytes of it that are still to come. */
  #left = 0;
  #bytes = false;
  /** Whether a length of 0 was read last. */
  #afterEmpty = false;
  /** Bytes that were taken for the beginning of a value, and are to be reported. */
  #taken: Uint8Array = NOTHING;
  /** Bytes that were taken for a part of it, and not kept. */
  #dropped = 0;

  /** Makes a scanner that has read nothing. */
  constructor(sink: ScannerSink, budget: CaptureBudget) {
    this.#sink = sink;
    this.#capture = new Capture(budget);
  }

  /** Whether the direction was found to be bytes. */
  get isBytes(): boolean {
    return this.#bytes;
  }

  /** Reads a piece of payload, which is not empty. */
  push(piece: Uint8Array): void {
    let at = 0;
    while (at < piece.length) {
      if (this.#bytes) break;
      if (this.#left > 0) {
        const end = Math.min(piece.length, at + this.#left);
        this.#body(piece.subarray(at, end));
        at = end;
      } else this.#prefixByte(piece[at++]!);
    }
    if (this.#bytes) this.#report(piece.subarray(at));
  }

  /** Reports what was begun as bytes, and gives back the memory. */
  end(): void {
    const isPartial = this.#prefixLength > 0 || this.#left > 0 ||
      this.#afterEmpty;
    if (!this.#bytes && isPartial) {
      this.#giveUp(this.#left > 0 ? undefined : NOTHING);
      this.#report(NOTHING);
    }
    this.#capture.clear();
  }

  #prefixByte(byte: number): void {
    this.#prefix[this.#prefixLength++] = byte;
    if (this.#prefixLength < PREFIX_SIZE) return;
    const size = readUint32(this.#prefix, 0);
    this.#size = size;
    if (size > MAX_VALUE_SIZE) return this.#giveUp(NOTHING);
    if (size > 0) {
      this.#left = size;
      return;
    }
    // Two in a row say nothing: the bytes are zeros.
    if (this.#afterEmpty || !this.#sink.onEmpty()) {
      return this.#giveUp(NOTHING);
    }
    this.#afterEmpty = true;
    this.#prefixLength = 0;
  }

  #body(piece: Uint8Array): void {
    const isFirst = this.#left === this.#size;
    if (isFirst && !this.#sink.mayBegin(piece[0]!)) {
      return this.#giveUp(piece);
    }
    this.#capture.add(piece);
    this.#left -= piece.length;
    if (this.#left > 0) return;
    if (!this.#sink.onValue(this.#capture.bytes, this.#size)) {
      return this.#giveUp();
    }
    this.#capture.clear();
    this.#prefixLength = 0;
    this.#afterEmpty = false;
  }

  /** Takes what was read of the current value, and what follows, for bytes. */
  #giveUp(piece?: Uint8Array): void {
    this.#bytes = true;
    const kept = piece ?? this.#capture.bytes;
    const empty = this.#afterEmpty ? PREFIX_SIZE : 0;
    const bytes = new Uint8Array(empty + this.#prefixLength + kept.length);
    bytes.set(this.#prefix.subarray(0, this.#prefixLength), empty);
    bytes.set(kept, empty + this.#prefixLength);
    const read = piece?.length ?? this.#size - this.#left;
    this.#dropped = Math.max(0, read - kept.length);
    this.#capture.clear();
    this.#taken = bytes;
  }

  /** Reports bytes, after those that were taken for the beginning of a value. */
  #report(rest: Uint8Array): void {
    const taken = this.#taken;
    const size = taken.length + this.#dropped + rest.length;
    this.#taken = NOTHING;
    this.#dropped = 0;
    const bytes = taken.length > 0 ? concat(taken, rest) : rest;
    if (size > 0) this.#sink.onBytes(bytes, size);
  }
}
