/**
 * Random choices that can be made again: every property test draws from a
 * {@linkcode Random} and says its seed when it fails.
 *
 *     QTALK_SEED=12345 deno task test tests/property/
 *
 * @module
 */

/** A stream of choices that follows from its seed (mulberry32). */
export class Random {
  /** What to put into `QTALK_SEED` to get the same choices again. */
  readonly seed: number;
  #state: number;

  /** Starts the stream. */
  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = this.seed;
  }

  /**
   * A stream of its own, that follows from this one: for what draws at times
   * that nobody chooses, so that it shifts no other choice.
   */
  fork(): Random {
    return new Random(this.int(0, 2 ** 32 - 1));
  }

  /** A number from 0 up to, not including, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of them. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.int(0, choices.length - 1)]!;
  }

  /** So many random bytes. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) out[i] = this.int(0, 255);
    return out;
  }

  /** Cuts bytes into pieces of 1 to `max` bytes. */
  split(bytes: Uint8Array, max: number): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + this.int(1, max);
      pieces.push(bytes.subarray(at, end));
      at = end;
    }
    return pieces;
  }
}

/**
 * Runs `check` for that many seeds, or for `QTALK_SEED` alone. A failure names
 * the seed; the seeds differ from run to run. With `QTALK_SEED_SHARE`, a number
 * from 0 to 1, it runs that part of them, but at least one.
 */
export async function forSeeds(
  count: number,
  check: (random: Random) => void | Promise<void>,
): Promise<void> {
  const given = Deno.env.get("QTALK_SEED");
  const first = given === undefined
    ? crypto.getRandomValues(new Uint32Array(1))[0]!
    : Number(given);
  if (!Number.isInteger(first)) {
    throw new TypeError(`Cannot use QTALK_SEED: "${given}" is not an integer`);
  }
  const seeds = given === undefined
    ? Math.max(1, Math.ceil(count * seedShare()))
    : 1;
  for (let i = 0; i < seeds; i++) {
    const random = new Random(first + i);
    try {
      await check(random);
    } catch (cause) {
      throw new Error(
        `Failed with QTALK_SEED=${random.seed}: ${
          cause instanceof Error ? cause.message : cause
        }`,
        { cause },
      );
    }
  }
}

/** The part of the seeds that run. */
function seedShare(): number {
  const share = Number(Deno.env.get("QTALK_SEED_SHARE") ?? 1);
  if (share >= 0 && share <= 1) return share;
  throw new TypeError(
    `Cannot use QTALK_SEED_SHARE: ${share} is not from 0 to 1`,
  );
}

/** Whether {@linkcode forSeeds} runs as many seeds as a test asks for. */
export function runsAllSeeds(): boolean {
  return Deno.env.get("QTALK_SEED") === undefined && seedShare() === 1;
}
