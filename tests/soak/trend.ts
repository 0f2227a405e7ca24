/** A figure at a time. */
export interface Point {
  /** Seconds since the start. */
  at: number;
  value: number;
}

/**
 * The slope of a line through these points, per second: the median of the slopes
 * between all pairs, which a few points far off do not change. 0 for fewer than
 * two points.
 */
export function slopeOf(points: readonly Point[]): number {
  const slopes: number[] = [];
  for (const [i, a] of points.entries()) {
    for (const b of points.slice(i + 1)) {
      if (b.at !== a.at) slopes.push((b.value - a.value) / (b.at - a.at));
    }
  }
  return median(slopes);
}

/** What the line through the points gained from the first to the last. */
export function growthOf(points: readonly Point[]): number {
  if (points.length < 2) return 0;
  return slopeOf(points) * (points.at(-1)!.at - points[0]!.at);
}

/** The middle value; 0 of none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
