/**
 * What tests of value readers read from.
 *
 * @module
 */
import { assert } from "@std/assert";
import {
  type ByteSource,
  ValueReader,
} from "../../codec/value/value_reader.ts";
import { framed } from "./wire.ts";

/** A source of these bytes, and of others when the test says so. */
export class Source implements ByteSource {
  ended = false;
  failure: unknown;
  taken = 0;
  /** What was announced with `expect()`. */
  readonly expected: number[] = [];
  #pieces: Uint8Array[] = [];
  #waiting: (() => void) | undefined;

  /** Makes a source of bytes that have arrived. */
  constructor(...pieces: Uint8Array[]) {
    this.arrive(...pieces);
  }

  /** Bytes that were not taken. */
  get length(): number {
    return this.#pieces.reduce((sum, { length }) => sum + length, 0);
  }

  arrive(...pieces: Uint8Array[]): void {
    this.#pieces.push(...pieces.filter((piece) => piece.length > 0));
    this.#notify();
  }

  end(failure?: unknown): void {
    this.ended = true;
    this.failure = failure;
    this.#notify();
  }

  peek(): Uint8Array | undefined {
    return this.#pieces[0];
  }

  get chunk(): Uint8Array | undefined {
    return this.peek();
  }

  readonly chunkStart = 0;

  get chunkEnd(): number {
    return this.peek()?.length ?? 0;
  }

  consume(bytes: number): void {
    const first = this.#pieces[0]!;
    assert(
      bytes <= first.length,
      "more bytes are consumed than peek() returned",
    );
    this.taken += bytes;
    if (bytes === first.length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(bytes);
  }

  whenReadable(callback: () => void): void {
    if (this.#pieces.length > 0 || this.ended) return callback();
    assert(this.#waiting === undefined, "two callbacks wait");
    this.#waiting = callback;
  }

  cancelWhenReadable(callback: () => void): void {
    if (this.#waiting === callback) this.#waiting = undefined;
  }

  expect(bytes: number): void {
    this.expected.push(bytes);
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }
}

/** A reader of a source that has no bytes yet. */
export function started(
  maxSize?: number,
): { source: Source; reader: ValueReader } {
  const source = new Source();
  return { source, reader: new ValueReader(source, maxSize) };
}

/** The length before a value. */
export function prefix(length: number): Uint8Array {
  return framed(new Uint8Array(0)).map((_, i) => length >>> (24 - 8 * i));
}
