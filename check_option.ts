import { reasonOf } from "./abort_reason.ts";

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
  const kind = fraction ? "a number" : "an integer";
  const range = max === Infinity
    ? `of at least ${min}`
    : `from ${min} to ${max}`;
  // Types do not bind programs in JavaScript: "9" looks like 9.
  const but = typeof value === "number" ? "" : `, but of type ${typeof value}`;
  throw new RangeError(
    `Cannot use option "${name}": ${
      String(value)
    } is not ${kind} ${range}${but}`,
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

/** The values of an option in milliseconds; `Infinity` is no limit. */
export const TIME_RANGE: OptionRange = {
  min: 0,
  max: Infinity,
  fraction: true,
};

/**
 * Checks an option in milliseconds, if it is given.
 *
 * @param name the name of the option
 * @throws {RangeError} if it is not in {@linkcode TIME_RANGE}
 */
export function checkTime(name: string, ms: number | undefined): void {
  if (ms !== undefined) checkOption(name, ms, TIME_RANGE);
}

/**
 * The numeric options that a program gives, and the defaults of the others.
 *
 * @throws {RangeError} if one is not in its range
 */
export function withDefaults<Name extends string>(
  options: { readonly [name in Name]?: number | undefined },
  defaults: Readonly<Record<Name, number>>,
  ranges: Readonly<Record<Name, OptionRange>>,
): Record<Name, number> {
  const all: Record<Name, number> = { ...defaults };
  for (const name of Object.keys(ranges) as Name[]) {
    const value = options[name];
    if (value === undefined) continue;
    checkOption(name, value, ranges[name]);
    all[name] = value;
  }
  return all;
}

/**
 * Checks the option `signal`. A signal of another realm or library is one, too. Of
 * a signal, this package uses `aborted`, `reason` and the methods for listeners:
 * some libraries have no `throwIfAborted()`.
 *
 * @throws {TypeError} if it is not a signal, such as the controller of one
 */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  const given = signal as Partial<AbortSignal> | null;
  if (typeof given?.aborted === "boolean") return;
  const what = Object.prototype.toString.call(signal);
  throw new TypeError(
    `Cannot use option "signal": ${what} is not an AbortSignal`,
  );
}

/**
 * Checks the option `signal` of an operation that is about to begin.
 *
 * @throws {TypeError} if it is not a signal
 * @throws {unknown} `signal.reason` if it has aborted
 */
export function checkNotAborted(signal: AbortSignal | undefined): void {
  checkSignal(signal);
  if (signal?.aborted) throw reasonOf(signal);
}

/**
 * Why an operation must not begin: a rejected promise if `signal` has aborted or is
 * not a signal; otherwise undefined.
 */
export function rejectedBy(
  signal: AbortSignal | undefined,
): Promise<never> | undefined {
  if (signal === undefined) return undefined;
  try {
    checkNotAborted(signal);
    return undefined;
  } catch (reason) {
    return Promise.reject(reason);
  }
}

function isWhole(value: number): boolean {
  return Number.isInteger(value) || value === Infinity;
}
