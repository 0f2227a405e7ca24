/**
 * Bytes and values that two processes can make alike, and their digests.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { Random } from "../support/random.ts";

/** The largest piece. */
export const MAX_SIZE = 2 * 1024 * 1024;

/** All pieces are parts of this. */
const BLOCK = makeBlock();

function makeBlock(): Uint8Array<ArrayBuffer> {
  const random = new Random(1);
  const words = new Uint32Array(MAX_SIZE / 2);
  for (let i = 0; i < words.length; i++) words[i] = random.next() * 2 ** 32;
  return new Uint8Array(words.buffer);
}

/** Bytes that follow from a seed. */
export function bytesOf(seed: number, size: number): Uint8Array<ArrayBuffer> {
  const from = seed % (BLOCK.length - size + 1);
  return BLOCK.subarray(from, from + size);
}

/** Printable text that follows from a seed; one byte for a character. */
export function textOf(seed: number, size: number): string {
  const bytes = bytesOf(seed, size).map((byte) => 32 + byte % 95);
  return new TextDecoder().decode(bytes);
}

/** A value of mixed types that follows from a seed. */
export function valueOf(seed: number, depth = 3): unknown {
  const random = new Random(seed);
  const make = (depth: number): unknown => {
    switch (random.int(0, depth > 0 ? 7 : 4)) {
      case 0:
        return null;
      case 1:
        return random.chance(0.5);
      case 2:
        return random.int(-(2 ** 40), 2 ** 40);
      case 3:
        return random.next() * 1e6;
      case 4:
        return textOf(random.int(0, 1e6), random.int(0, 40));
      case 5:
        return Array.from({ length: random.int(0, 5) }, () => make(depth - 1));
      default:
        return Object.fromEntries(
          Array.from(
            { length: random.int(0, 5) },
            (_, i) => [`key${i}`, make(depth - 1)],
          ),
        );
    }
  };
  return make(depth);
}

/** The digest of bytes or of a text. */
export function digestOf(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/** A stream of these bytes, in pieces of random sizes. */
export function streamOf(
  bytes: Uint8Array<ArrayBuffer>,
  random: Random,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      if (at === bytes.length) {
        controller.close();
        controller.byobRequest?.respond(0);
        return;
      }
      const size = Math.min(random.int(1, 50_000), bytes.length - at);
      // A copy: what is enqueued is transferred.
      controller.enqueue(bytes.slice(at, at += size));
    },
  });
}

/** Reads bytes to their end; returns how many there were, and their digest. */
export async function readAll(
  stream: ReadableStream<Uint8Array>,
): Promise<{ size: number; digest: string }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const piece of stream) {
    hash.update(piece);
    size += piece.length;
  }
  return { size, digest: hash.digest("hex") };
}
