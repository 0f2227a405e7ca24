import { type Codec, CodecError, type ValueWeight } from "@qtalk/qtalk/codec";
import v8 from "node:v8";
import vm from "node:vm";
import type { ThreadClock } from "../../support/thread_clock.ts";

/** The cost of decoding a value. */
export interface Cost {
  /**
   * Milliseconds of the processor, as on the reference machine: the shortest of a
   * few times.
   */
  ms: number;
  /** Bytes by which memory grew until the value was decoded. */
  grown: number;
  /** Bytes that the value keeps alive, if they were measured. */
  alive: number | undefined;
  /** What the codec estimates of these. */
  weight: number;
  /** The code of the error, if the value was refused. */
  refused: string | undefined;
}

/**
 * Milliseconds of the reference work on the reference machine: two cores of a
 * server of 2023, of which nothing else uses any.
 */
const REFERENCE = 4;

/**
 * Measures how much it costs to decode values. Processes that share a core, its
 * caches or the memory make everything take up to twice as long, also in
 * processor time. So each time is divided by that of a reference work which is
 * done before and after it.
 */
export class Scale {
  readonly #clock: ThreadClock;
  readonly #collect: () => void;
  readonly #reference: string;

  /** Makes one with a clock. */
  constructor(clock: ThreadClock) {
    this.#clock = clock;
    v8.setFlagsFromString("--expose-gc");
    // Unlike `collectGarbage()` of `tests/support`, without a context each time.
    this.#collect = vm.runInNewContext("gc") as () => void;
    this.#reference = JSON.stringify(Array.from(
      { length: 15_000 },
      (_, i) => ({ id: i, name: `n${i}`, ok: true, x: i / 7 }),
    ));
  }

  /**
   * Decodes a value several times.
   *
   * @param weighs whether to measure what it keeps alive, which is slow
   */
  measure(
    codec: Codec,
    bytes: Uint8Array,
    times: number,
    weighs = false,
  ): Cost {
    const weight: ValueWeight = { bytes: 0 };
    let ms = Infinity;
    let grown = 0;
    let alive: number | undefined;
    let refused: string | undefined;
    for (let i = 0; i < times; i++) {
      const slowBefore = this.#slowness();
      this.#collect();
      const before = used();
      const begun = this.#clock.now();
      let value: unknown;
      try {
        value = codec.decode(bytes, weight);
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
        refused = error.code;
      }
      const took = this.#clock.now() - begun;
      grown = Math.max(grown, used() - before);
      if (weighs && i === 0) {
        this.#collect();
        alive = used() - before;
      }
      kept.value = value;
      kept.value = value = undefined;
      // The faster of the two: a value must not look cheap because the machine was
      // slow for a moment.
      ms = Math.min(ms, took / Math.min(slowBefore, this.#slowness()));
    }
    return { ms, grown, alive, weight: weight.bytes, refused };
  }

  /** Returns how many times as long as on the reference machine work takes now. */
  #slowness(): number {
    // Garbage of others would count.
    this.#collect();
    const begun = this.#clock.now();
    JSON.parse(this.#reference);
    return (this.#clock.now() - begun) / REFERENCE;
  }
}

function used(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/** Keeps a value alive until here. */
const kept: { value: unknown } = { value: undefined };
