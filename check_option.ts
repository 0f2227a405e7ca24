/**
 * Checks a numeric option, so that every function of the package rejects a bad
 * one in the same words.
 *
 * @param name the option, as the program wrote it
 * @param value what was given for it
 * @param range the smallest and the largest value, both allowed; only integers
 * are, unless `fraction` says otherwise
 * @throws {RangeError} if the value is not in the range
 */
export function checkOption(
  name: string,
  value: number,
  { min, max, fraction = false }: OptionRange,
): void {
  const isOfKind = fraction ? typeof value === "number" : isWhole(value);
  if (isOfKind && value >= min && value <= max) return;
  throw new RangeError(
    `Cannot use option "${name}": ${value} is not ${
      fraction ? "a number" : "an integer"
    } ${max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`}`,
  );
}

/** The values that an option may have. */
export interface OptionRange {
  /** The smallest one. */
  readonly min: number;
  /** The largest one; `Infinity` for no limit, which is then a value too. */
  readonly max: number;
  /** Whether fractions are allowed. Default: false. */
  readonly fraction?: boolean;
}

function isWhole(value: number): boolean {
  return Number.isInteger(value) || value === Infinity;
}
