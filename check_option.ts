/**
 * Checks a numeric option. All functions of the package reject a bad value with
 * the same error.
 *
 * @param name the name of the option
 * @param value its value
 * @param range the values that it may have
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

/** The values that a numeric option may have. */
export interface OptionRange {
  /** The smallest value. */
  readonly min: number;
  /** The largest value; `Infinity`, which is then allowed too, for no limit. */
  readonly max: number;
  /** Whether fractions are allowed, and not only integers. Default: false. */
  readonly fraction?: boolean;
}

function isWhole(value: number): boolean {
  return Number.isInteger(value) || value === Infinity;
}
