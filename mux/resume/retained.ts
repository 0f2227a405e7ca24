import { readUint32, writeUint32 } from "../../uint32.ts";
import { view } from "../../view.ts";
import type { MemoryKind } from "../flow/memory_account.ts";
import { writeUint64 } from "./handshake/messages.ts";
import { DATA_HEADER, RECORD } from "./records.ts";

/** A buffer of its own. */
type Block = Uint8Array<ArrayBuffer>;

/** Bytes of the buffer that every session has, and that is not counted. */
const SMALL = 8 * 1024;
/** Bytes of the other buffers. */
const MEDIUM = 64 * 1024;
const LARGE = 384 * 1024;
/** Unused buffers of each size that are kept for the next bytes. */
const MAX_SPARE = 16;
/** A buffer with less room than this, and than is needed, takes no more. */
const LEAST_ROOM = 2 * 1024;

/** A write of this many bytes is kept in the buffer that it came in. */
const LEAST_ADOPTED = 64 * 1024;

/** A buffer with consecutive records. */
interface Slab {
  /** Whether it is one record, in the buffer that its bytes came in. */
  readonly isAdopted: boolean;
  bytes: Uint8Array;
  /** Where the first record starts that is not fully acknowledged. */
  first: number;
  /** The offset in the stream of the first byte of that record. */
  offset: number;
  /** Where the records end. */
  end: number;
  /** The offset after the last record. */
  endOffset: number;
  /** The record that {@linkcode RetainedBytes.appendAndTake} has returned last. */
  record: Uint8Array | undefined;
  recordAt: number;
}

/**
 * The part of a stream that the other side has not acknowledged, as the records in
 * which it is sent. Each byte is copied once, into the record that carries it, and
 * sent again from there. A large write is kept in the buffer that it came in, and its
 * writer gets another buffer.
 *
 * The buffers grow with the traffic. The first one is part of what every session
 * takes. Memory for the others comes from the account of the session; if there is
 * none, fewer bytes are on their way at the same time.
 */
export class RetainedBytes {
  /** What counts the memory; undefined until the session has an account. */
  #memory: MemoryKind | undefined;
  readonly #limit: number;
  /** The oldest first; the last one is being filled. */
  readonly #slabs: Slab[];
  /** Buffers that are not used now, by size. */
  readonly #spare = new Map<number, Uint8Array[]>([[MEDIUM, []], [LARGE, []]]);
  /** Those that were adopted, of one size. */
  readonly #adoptable: Block[] = [];
  /** What the writer gets for the buffer that was adopted last. */
  #replacement: Block | undefined;
  #small: Uint8Array | undefined;
  #acked = 0;
  #appended = 0;
  /** The offset after what was given to a connection, at any time. */
  #sent = 0;
  /** What is to be sent next: the slab, and the place in it. */
  #next = 0;
  #at = 0;
  #stated = 0;
  /** The slab of which a part is being written. */
  #written: Slab | undefined;
  /** Bytes that the account was asked for. */
  #taken = 0;

  /** Makes an empty one. */
  constructor(limit: number) {
    this.#limit = limit;
    this.#slabs = [slabOf(new Uint8Array(SMALL), 0)];
  }

  /** Bytes that are kept. */
  get length(): number {
    return this.#appended - this.#acked;
  }

  /** The offset before which the other side has everything. */
  get acknowledged(): number {
    return this.#acked;
  }

  /** Bytes of memory that are counted. */
  get taken(): number {
    return this.#taken;
  }

  /** The last offset that was put into a record. */
  get stated(): number {
    return this.#stated;
  }

  /** Takes the memory from an account, from now on. */
  useMemory(memory: MemoryKind): void {
    this.#memory = memory;
    memory.take(this.#taken);
  }

  /**
   * Appends the first bytes of `bytes` after `from` for which there is room; returns
   * how many.
   *
   * @param received what the record acknowledges
   */
  append(bytes: Uint8Array, from: number, received: number): number {
    const wanted = Math.min(bytes.length - from, this.#limit - this.length);
    if (wanted <= 0) return 0;
    const slab = this.#withRoom(wanted);
    if (slab === undefined) return 0;
    const at = slab.end;
    const size = Math.min(wanted, slab.bytes.length - at - DATA_HEADER);
    writeHeader(slab.bytes, at, size, received);
    const part = size === bytes.length ? bytes : view(bytes, from, from + size);
    slab.bytes.set(part, at + DATA_HEADER);
    this.#extend(slab, at + DATA_HEADER + size, size);
    return size;
  }

  /**
   * Appends all of `bytes`, and returns their record as {@linkcode take} would, if
   * they are the only thing to send and there is room where the last record ends. This
   * is what a small call needs, without the questions that other bytes raise.
   *
   * @param received what the record acknowledges
   */
  appendAndTake(bytes: Uint8Array, received: number): Uint8Array | undefined {
    const { length } = bytes;
    const last = this.#slabs.length - 1;
    const slab = this.#slabs[last]!;
    const at = slab.end;
    const end = at + DATA_HEADER + length;
    if (this.#next !== last || this.#at !== at || slab.isAdopted) {
      return undefined;
    }
    if (end > slab.bytes.length || length > this.#limit - this.length) {
      return undefined;
    }
    writeHeader(slab.bytes, at, length, received);
    slab.bytes.set(bytes, at + DATA_HEADER);
    this.#extend(slab, end, length);
    this.#at = end;
    this.#sent = this.#appended;
    this.#stated = received;
    this.#written = slab;
    // Calls that are alike have their records at the same place.
    const { record } = slab;
    return record !== undefined && slab.recordAt === at &&
        record.length === end - at
      ? record
      : slab.record = view(slab.bytes, slab.recordAt = at, end);
  }

  /**
   * Keeps all of `bytes` without a copy of them, if there is room for a header before
   * them in their buffer; returns whether it did. The caller has to ask for another
   * buffer with {@linkcode exchange}.
   *
   * @param received what the record acknowledges
   */
  adopt(bytes: Uint8Array, received: number): boolean {
    const { length, byteOffset } = bytes;
    if (length < LEAST_ADOPTED || byteOffset < DATA_HEADER) return false;
    if (length > this.#limit - this.length) return false;
    const buffer = new Uint8Array(bytes.buffer as ArrayBuffer);
    this.#replacement = this.#replacementFor(buffer.length);
    if (this.#replacement === undefined) return false;
    const slab = slabOf(buffer, this.#appended, true);
    slab.first = byteOffset - DATA_HEADER;
    writeHeader(buffer, slab.first, length, received);
    this.#slabs.push(slab);
    this.#extend(slab, byteOffset + length, length);
    return true;
  }

  /** A buffer in place of the one that was adopted; undefined if none was. */
  exchange(): Block | undefined {
    const replacement = this.#replacement;
    this.#replacement = undefined;
    return replacement;
  }

  /** Appends END, for which there is room. */
  appendEnd(): void {
    let slab = this.#slabs.at(-1)!;
    if (slab.isAdopted || slab.end === slab.bytes.length) {
      slab = slabOf(new Uint8Array(1), this.#appended);
      this.#slabs.push(slab);
    }
    slab.bytes[slab.end] = RECORD.end;
    this.#extend(slab, slab.end + 1, 1);
  }

  /**
   * The next records to send; undefined if there are none. They do not change until
   * {@linkcode wasWritten} or {@linkcode wasCut} is called.
   *
   * @param received what the first of them acknowledges
   */
  take(received: number): Uint8Array | undefined {
    let slab = this.#slabs[this.#next]!;
    if (this.#at === slab.end) {
      if (this.#next === this.#slabs.length - 1) return undefined;
      slab = this.#slabs[++this.#next]!;
      this.#at = slab.first;
    }
    const at = this.#at;
    this.#written = slab;
    if (slab.bytes[at] === RECORD.data) {
      writeUint64(slab.bytes, at + 5, received);
      this.#stated = received;
    }
    this.#at = slab.end;
    this.#sent = Math.max(this.#sent, slab.endOffset);
    return view(slab.bytes, at, slab.end);
  }

  /** What {@linkcode take} returned was written. */
  wasWritten(): void {
    this.#written = undefined;
    if (this.#isDone) this.#reuse();
  }

  /**
   * The connection is lost. A write that has not ended may still read its bytes, so
   * they are not changed any more.
   */
  wasCut(): void {
    if (this.#written === undefined) return;
    replaceBytes(this.#written, this.#written.bytes.slice());
    this.#written = undefined;
    if (this.#appended === this.#acked) this.#reuse();
  }

  /**
   * The other side has everything before `offset`; returns false if that was not
   * sent.
   */
  acknowledge(offset: number): boolean {
    if (offset <= this.#acked) return true;
    if (offset > this.#sent) return false;
    this.#acked = offset;
    const slabs = this.#slabs;
    while (slabs.length > 1) {
      const first = slabs[0]!;
      if (first.endOffset > offset || first === this.#written) break;
      // What is sent again is sent without a gap, even if it is not needed.
      if (this.#next === 0 && this.#at < first.end) break;
      slabs.shift();
      if (this.#next > 0) this.#next--;
      else this.#at = slabs[0]!.first;
      this.#release(first);
    }
    if (this.#isDone && this.#written === undefined) this.#reuse();
    return true;
  }

  /** Sends again everything that is not acknowledged. */
  rewind(): void {
    while (this.#slabs.length > 1 && this.#slabs[0]!.endOffset <= this.#acked) {
      this.#release(this.#slabs.shift()!);
    }
    const slab = this.#slabs[0]!;
    this.#next = 0;
    while (slab.first < slab.end) {
      const [size, length] = recordAt(slab.bytes, slab.first);
      const skipped = this.#acked - slab.offset;
      if (skipped < length) {
        if (skipped > 0) this.#cutRecord(slab, skipped, length);
        break;
      }
      slab.first += size;
      slab.offset += length;
    }
    this.#at = slab.first;
  }

  /** Returns memory that is not needed, if nothing is kept. */
  trim(): void {
    if (!this.#isDone || this.#written !== undefined) return;
    this.#reuse();
    const slab = this.#slabs[0]!;
    if (slab.bytes.length > SMALL) {
      this.#give(slab.bytes.length);
      replaceBytes(slab, this.#small ?? new Uint8Array(SMALL));
      this.#small = undefined;
    }
    for (const [size, spare] of this.#spare) {
      this.#give(size * spare.length);
      spare.length = 0;
    }
    for (const { length } of this.#adoptable) this.#give(length);
    this.#adoptable.length = 0;
  }

  /** Forgets everything: the session has ended. */
  clear(): void {
    this.#slabs.length = 0;
    for (const spare of this.#spare.values()) spare.length = 0;
    this.#adoptable.length = 0;
    this.#slabs.push(slabOf(new Uint8Array(0), this.#appended));
    this.#small = this.#written = undefined;
    this.#acked = this.#appended;
    this.#next = this.#at = 0;
    this.#give(this.#taken);
  }

  /** Whether everything is acknowledged, and sent over this connection. */
  get #isDone(): boolean {
    return this.#appended === this.#acked &&
      this.#next === this.#slabs.length - 1 &&
      this.#at === this.#slabs[this.#next]!.end;
  }

  #extend(slab: Slab, end: number, size: number): void {
    slab.end = end;
    this.#appended += size;
    slab.endOffset = this.#appended;
  }

  /** Reuses the only slab, since nothing in it is needed. */
  #reuse(): void {
    // Other slabs are kept only because a write from them was still pending.
    while (this.#slabs.length > 1) this.#release(this.#slabs.shift()!);
    let slab = this.#slabs[0]!;
    if (slab.isAdopted) {
      this.#release(slab);
      slab = this.#slabs[0] = slabOf(this.#small ?? new Uint8Array(SMALL), 0);
      this.#small = undefined;
    }
    slab.first = slab.end = 0;
    slab.offset = slab.endOffset = this.#appended;
    this.#next = this.#at = 0;
  }

  /** The slab for the next record; undefined if there is no memory for it. */
  #withRoom(wanted: number): Slab | undefined {
    const last = this.#slabs.at(-1)!;
    const room = last.isAdopted
      ? 0
      : last.bytes.length - last.end - DATA_HEADER;
    const least = Math.min(wanted, LEAST_ROOM);
    // A record that is cut in two costs another write.
    if (room >= Math.min(wanted, LARGE / 2)) return last;
    const bytes = this.#buffer(wanted);
    if (bytes === undefined) return room >= least ? last : undefined;
    if (last.end === 0 && this.#slabs.length === 1) {
      // Nothing is in it: the larger one takes its place.
      this.#release(last);
      replaceBytes(last, bytes);
      return last;
    }
    const slab = slabOf(bytes, this.#appended);
    this.#slabs.push(slab);
    return slab;
  }

  #buffer(wanted: number): Uint8Array | undefined {
    const many = this.#slabs.length > 2;
    const sizes = many || wanted > SMALL ? [LARGE, MEDIUM] : [MEDIUM];
    for (const size of sizes) {
      const spare = this.#spare.get(size)!.pop();
      if (spare !== undefined) return spare;
      if (this.#memory !== undefined && !this.#memory.tryTake(size)) continue;
      this.#taken += size;
      return new Uint8Array(size);
    }
    return undefined;
  }

  /**
   * The buffer for a writer whose own, of `size` bytes, is adopted; undefined without
   * memory.
   */
  #replacementFor(size: number): Block | undefined {
    let spare = this.#adoptable.pop();
    // The writer would soon need a larger one.
    while (spare !== undefined && spare.length < size) {
      this.#give(spare.length);
      spare = this.#adoptable.pop();
    }
    if (spare !== undefined) {
      // It counts no more; what is adopted does.
      this.#give(spare.length - size);
      return spare;
    }
    if (this.#memory !== undefined && !this.#memory.tryTake(size)) {
      return undefined;
    }
    this.#taken += size;
    return new Uint8Array(size);
  }

  #release({ bytes, isAdopted }: Slab): void {
    const { length } = bytes;
    if (isAdopted) {
      if (this.#adoptable.length < MAX_SPARE) {
        this.#adoptable.push(bytes as Block);
      } else this.#give(length);
      return;
    }
    if (length === SMALL) this.#small = bytes;
    const spare = this.#spare.get(length);
    if (spare === undefined) return;
    if (spare.length < MAX_SPARE) spare.push(bytes);
    else this.#give(length);
  }

  #give(bytes: number): void {
    this.#taken -= bytes;
    this.#memory?.give(bytes);
  }

  /** Makes a record begin with the first byte that is not acknowledged. */
  #cutRecord(slab: Slab, skipped: number, length: number): void {
    const { bytes } = slab;
    // The header is written over bytes that are acknowledged, or its own.
    slab.first += skipped;
    slab.offset += skipped;
    bytes[slab.first] = RECORD.data;
    writeUint32(bytes, slab.first + 1, length - skipped);
  }
}

function writeHeader(
  bytes: Uint8Array,
  at: number,
  size: number,
  received: number,
): void {
  bytes[at] = RECORD.data;
  writeUint32(bytes, at + 1, size);
  writeUint64(bytes, at + 5, received);
}

function slabOf(bytes: Uint8Array, offset: number, isAdopted = false): Slab {
  return {
    isAdopted,
    bytes,
    first: 0,
    offset,
    end: 0,
    endOffset: offset,
    record: undefined,
    recordAt: 0,
  };
}

function replaceBytes(slab: Slab, bytes: Uint8Array): void {
  slab.bytes = bytes;
  slab.record = undefined;
}

/** The size of the record at a place, and how much of the stream it has. */
function recordAt(bytes: Uint8Array, at: number): [number, number] {
  if (bytes[at] === RECORD.end) return [1, 1];
  const length = readUint32(bytes, at + 1);
  return [DATA_HEADER + length, length];
}
