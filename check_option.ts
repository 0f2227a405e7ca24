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
    `Cannot use option "${name}": ${shown(value)} is not ${
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

/**
 * Checks the time limit of an operation, in milliseconds.
 *
 * @throws {RangeError} if it is not a number of at least 0; `Infinity` is allowed
 */
export function checkTimeout(timeout: number | undefined): void {
  if (timeout !== undefined) checkOption("timeout", timeout, TIMEOUT_RANGE);
}

const TIMEOUT_RANGE = { min: 0, max: Infinity, fraction: true };

/** A value for an error text: the types do not bind programs in JavaScript. */
function shown(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "number":
    case "boolean":
      return String(value);
    default:
      return value === null ? "null" : `a value of type ${typeof value}`;
  }
}

function isWhole(value: number): boolean {
  return Number.isInteger(value) || value === Infinity;
}
