/**
 * Bytes that both sides can make and check: byte i is (i*31 + (i>>8)) & 255,
 * as in go/pattern.go. A lost, doubled or swapped piece shows.
 *
 * @module
 */

/** The pattern begins again after this many bytes. */
const PERIOD = 64 * 1024;
const BLOCK = Uint8Array.from(
  { length: PERIOD },
  (_, i) => (i * 31 + (i >> 8)) & 255,
);

/** `size` pattern bytes, in chunks of at most 64 KiB. */
export function patternStream(size: number): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent === size) return controller.close();
      // One block serves all: nobody who writes bytes may change them.
      const chunk = BLOCK.subarray(0, Math.min(PERIOD, size - sent));
      sent += chunk.length;
      controller.enqueue(chunk);
    },
  }, { highWaterMark: 0 });
}

/** Checks what arrives against the pattern, however it is cut. */
export class PatternChecker {
  #seen = 0;

  /** Bytes that were right so far. */
  get seen(): number {
    return this.#seen;
  }

  /**
   * Checks the next bytes.
   *
   * @throws {Error} if one is wrong, naming it
   */
  push(chunk: Uint8Array): void {
    const base = this.#seen;
    for (let i = 0; i < chunk.length; i++) {
      if (chunk[i] === BLOCK[(base + i) % PERIOD]) continue;
      throw new Error(
        `byte ${base + i} is ${chunk[i]}, expected ${
          BLOCK[(base + i) % PERIOD]
        }`,
      );
    }
    this.#seen += chunk.length;
  }
}

/**
 * Reads to the end and compares every byte.
 *
 * @throws {Error} if one is wrong, or there are not `size`
 */
export async function verifyPattern(
  readable: AsyncIterable<Uint8Array>,
  size: number,
): Promise<void> {
  const checker = new PatternChecker();
  for await (const chunk of readable) checker.push(chunk);
  if (checker.seen !== size) {
    throw new Error(`data ended after ${checker.seen} of ${size} bytes`);
  }
}

/**
 * Reads to the end, all into one buffer: a chunk is valid until the next is
 * asked for.
 */
export async function* readIntoOneBuffer(
  readable: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const reader = readable.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(100_000);
  for (;;) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done) return;
    yield value;
    buffer = value.buffer;
  }
}
