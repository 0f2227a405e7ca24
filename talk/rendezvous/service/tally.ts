/** Counts what is under way for each peer, or for whatever else it is counted. */
export class Tally {
  readonly #counts = new WeakMap<object, number>();

  /** How much is under way. */
  of(owner: object): number {
    return this.#counts.get(owner) ?? 0;
  }

  /** Something has begun for each of them. */
  begin(...owners: readonly object[]): void {
    for (const owner of owners) this.#counts.set(owner, this.of(owner) + 1);
  }

  /** Something has ended for each of them. */
  end(...owners: readonly object[]): void {
    for (const owner of owners) this.#counts.set(owner, this.of(owner) - 1);
  }
}
