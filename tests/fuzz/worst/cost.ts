import { type Codec, CodecError, type ValueWeight } from "@qtalk/qtalk/codec";
import v8 from "node:v8";
import vm from "node:vm";
import type { ThreadClock } from "../../support/thread_clock.ts";

/** The cost of decoding a value. */
export interface Cost {
  /** Milliseconds of the processor: the shortest of a few times. */
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

/** Measures how much it costs to decode values. */
export class Scale {
  readonly #clock: ThreadClock;
  readonly #collect: () => void;

  /** Makes one with a clock. */
  constructor(clock: ThreadClock) {
    this.#clock = clock;
    v8.setFlagsFromString("--expose-gc");
    // Unlike `collectGarbage()` of `tests/support`, without a context each time.
    this.#collect = vm.runInNewContext("gc") as () => void;
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
      ms = Math.min(ms, this.#clock.now() - begun);
      grown = Math.max(grown, used() - before);
      if (weighs && i === 0) {
        this.#collect();
        alive = used() - before;
      }
      keep(value);
    }
    return { ms, grown, alive, weight: weight.bytes, refused };
  }

  /** Milliseconds that a piece of work takes, at best. */
  time(work: () => void, times: number): number {
    let ms = Infinity;
    for (let i = 0; i < times; i++) {
      const begun = this.#clock.now();
      work();
      ms = Math.min(ms, this.#clock.now() - begun);
    }
    return ms;
  }
}

function used(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

let kept: unknown;

/** Keeps a value alive until here. */
function keep(value: unknown): void {
  kept = value;
  kept = undefined;
}
