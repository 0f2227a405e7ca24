/**
 * Decides whether the processes of a soak run hold at the end what they held at
 * the beginning.
 *
 * @module
 */
import { type Figures, IDLE } from "./figures.ts";
import { growthOf, type Point } from "./trend.ts";

/** What both processes held at one rest. */
export interface Sample {
  /** Seconds since the start. */
  at: number;
  /** Acts that had ended as they should. */
  done: number;
  server: Figures;
  client: Figures;
}

/** The two processes that live as long as the run. */
export const SIDES = ["server", "client"] as const;

/** Figures that do not depend on how long the run takes. */
const STEADY = ["files", "resources", "timers", "peers"] as const;

const MIB = 1024 * 1024;

/**
 * What the line through the samples of memory may gain, in bytes. Compiled code
 * and the allocator's free lists grow at first; an hour of a million calls that
 * leave three bytes each is more.
 */
export const MAX_GROWTH = { alive: 3 * MIB, rss: 32 * MIB };

/** Samples that are not judged, as a share of all: engines have to warm up. */
const WARM_UP = 0.15;

/**
 * Acts before which memory is not judged either: as many as five minutes of an idle
 * machine have in that share. A busy machine needs more of its samples for them.
 */
const WARM_UP_ACTS = 8_000;

/** Samples without which no trend is judged. */
const ENOUGH = 12;

/** The figures of one side over the run. */
export function seriesOf(
  samples: readonly Sample[],
  side: (typeof SIDES)[number],
  name: keyof Figures,
): Point[] {
  return samples.map((sample) => ({
    at: sample.at,
    value: sample[side][name],
  }));
}

/** The samples after the warm-up. */
function afterWarmUp(samples: readonly Sample[]): readonly Sample[] {
  return samples.slice(Math.floor(samples.length * WARM_UP));
}

/** The samples by which the growth of memory is judged; none if they are too few. */
export function judgedForGrowth(samples: readonly Sample[]): readonly Sample[] {
  const warm = afterWarmUp(samples).filter(({ done }) => done >= WARM_UP_ACTS);
  return warm.length < ENOUGH ? [] : warm;
}

/** What is wrong, as sentences. */
export function problemsOf(samples: readonly Sample[]): string[] {
  if (samples.length === 0) return ["nothing was measured"];
  const problems: string[] = [];
  const warm = afterWarmUp(samples);
  const judged = judgedForGrowth(samples);
  for (const side of SIDES) {
    for (const name of IDLE) {
      const left = samples.filter((sample) => sample[side][name] > 0);
      if (left.length === 0) continue;
      const { at, [side]: figures } = left.at(-1)!;
      problems.push(
        `${side}: ${name} was not 0 at ${left.length} of ${samples.length} ` +
          `rests, ${figures[name]} after ${at.toFixed(0)} s`,
      );
    }
    for (const name of STEADY) {
      const values = seriesOf(warm, side, name).map(({ value }) => value);
      const part = Math.ceil(values.length / 4);
      const first = Math.max(...values.slice(0, part));
      const last = Math.min(...values.slice(-part));
      if (last > first) {
        problems.push(`${side}: ${name} grew from ${first} to ${last}`);
      }
    }
    for (const name of ["alive", "rss"] as const) {
      const growth = growthOf(seriesOf(judged, side, name));
      if (growth > MAX_GROWTH[name]) {
        const mib = (growth / MIB).toFixed(1);
        problems.push(`${side}: ${name} grew by ${mib} MiB`);
      }
    }
  }
  return problems;
}
