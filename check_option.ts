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
 * Checks options, or another argument with members. A number or an array has none of
 * these members, so every default would apply.
 *
 * @param what what it is called, as in `options of peer`
 * @throws {TypeError} if it is not an object
 */
export function checkObject(what: string, value: unknown): void {
  if (kindOf(value) !== "an object") throw wrongKind(what, value, "an object");
}

/**
 * Checks an argument or an option by the methods that are used of it.
 *
 * @param what what it is called, as in `option "codec"`
 * @param expected what it has to be, as in `a codec`
 * @param names the methods
 * @throws {TypeError} if one of them is missing
 */
export function checkMethods(
  what: string,
  value: unknown,
  expected: string,
  ...names: string[]
): void {
  const given = (value ?? {}) as Record<string, unknown>;
  if (names.every((name) => typeof given[name] === "function")) return;
  throw wrongKind(what, value, expected);
}

/**
 * Checks options that are functions, so that a mistake is not found when the first of
 * them is called.
 *
 * @param names those of the options
 * @throws {TypeError} if one is given, and is no function
 */
export function checkFunctions<Name extends string>(
  options: { readonly [name in Name]?: unknown },
  ...names: Name[]
): void {
  for (const name of names) {
    if (options[name] !== undefined) {
      checkFunction(`option "${name}"`, options[name]);
    }
  }
}

/**
 * Checks an argument that is a function.
 *
 * @param what what it is called
 * @throws {TypeError} if it is not a function
 */
export function checkFunction(what: string, value: unknown): void {
  if (typeof value !== "function") throw wrongKind(what, value, "a function");
}

/**
 * Checks an option that is a list, if it is given. A string is refused, although it
 * can be iterated.
 *
 * @throws {TypeError} if it is not an array
 */
export function checkList(name: string, value: unknown): void {
  if (value === undefined || Array.isArray(value)) return;
  throw wrongKind(`option "${name}"`, value, "an array");
}

/** The error for an argument or an option of the wrong kind. */
export function wrongKind(
  what: string,
  value: unknown,
  expected: string,
): TypeError {
  return new TypeError(
    `Cannot use ${what}: ${kindOf(value)} is not ${expected}`,
  );
}

/** What a value is, for an error text. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  const kind = typeof value;
  return kind === "object" ? "an object" : `a ${kind}`;
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
  throw wrongKind('option "signal"', signal, "an AbortSignal");
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
