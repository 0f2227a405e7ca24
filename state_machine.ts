/** A state: its name and, for each event, the state after it. */
export type State<Name extends string, Event extends string> =
  & { readonly name: Name }
  & { readonly [event in Event]: State<Name, Event> };

/** Which state follows each state for each event. */
export type StateTable<Name extends string, Event extends string> = {
  readonly [name in Name]: { readonly [event in Event]: Name };
};

/**
 * Makes the states of a table, which it changes: each name of a state becomes that
 * state, so that states are linked with those that follow them.
 *
 * A transition is then `state = state.event`. To look it up in the table by two
 * names takes ten times as long, because V8 remembers where a property is only
 * for a name that never changes; a call makes two dozen transitions.
 *
 * @param table a literal, whose rows have the events in the same order, and so the
 * same shape
 */
export function linkStates<Name extends string, Event extends string>(
  table: StateTable<Name, Event>,
): { readonly [name in Name]: State<Name, Event> } {
  const states = table as unknown as Record<string, Record<string, unknown>>;
  for (const name in states) {
    const state = states[name]!;
    for (const event in state) state[event] = states[state[event] as string];
    state.name = name;
  }
  return table as unknown as { [name in Name]: State<Name, Event> };
}
