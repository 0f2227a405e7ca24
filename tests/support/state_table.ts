/** One cell of a table of states. */
export interface Transition<S extends string, E extends string> {
  state: S;
  event: E;
  next: S;
}

/** Parses a table: events in the first row, states in the first column. */
export function parseTable<S extends string, E extends string>(
  text: string,
): Transition<S, E>[] {
  const [events, ...rows] = text.trim().split("\n")
    .map((line) => line.trim().split(/\s+/));
  return rows.flatMap(([state, ...next]) =>
    next.map((to, i) => ({
      state: state as S,
      event: events![i] as E,
      next: to as S,
    }))
  );
}

/** All states that a table leads to from some others. */
export function reachable<S extends string, E extends string>(
  table: readonly Transition<S, E>[],
  ...from: S[]
): Set<S> {
  const seen = new Set(from);
  for (const at of seen) {
    for (const { state, next } of table) if (state === at) seen.add(next);
  }
  return seen;
}
