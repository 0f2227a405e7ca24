// deno-lint-ignore-file no-explicit-any -- only `any` accepts every constructor
/**
 * Stands in for `@std/assert`: the same names and meanings, over `node:assert`.
 *
 * @module
 */
import nodeAssert from "node:assert";

export { AssertionError } from "node:assert";

/** A class of errors. */
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

/** Fails unless `condition` is truthy. */
export function assert(condition: unknown, message = ""): asserts condition {
  nodeAssert.ok(condition, message || "assertion failed");
}

/** Fails unless both are deeply equal. */
export function assertEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  nodeAssert.deepStrictEqual(actual, expected, message);
}

/** Fails if both are deeply equal. */
export function assertNotEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  nodeAssert.notDeepStrictEqual(actual, expected, message);
}

/** Fails unless both are the same. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T {
  nodeAssert.strictEqual(actual, expected, message);
}

/** Fails if both are the same. */
export function assertNotStrictEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  nodeAssert.notStrictEqual(actual, expected, message);
}

/** Fails for null and undefined. */
export function assertExists<T>(
  actual: T,
  message = "expected a value",
): asserts actual is NonNullable<T> {
  nodeAssert.ok(actual !== undefined && actual !== null, message);
}

/** Fails unless `actual` is an instance. */
export function assertInstanceOf<
  T extends abstract new (...args: any[]) => any,
>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is InstanceType<T> {
  nodeAssert.ok(
    actual instanceof expected,
    message ?? `expected an instance of ${expected.name}, got ${actual}`,
  );
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(
  actual: string,
  expected: string,
  message?: string,
): void {
  nodeAssert.ok(
    actual.includes(expected),
    message ?? `expected "${actual}" to include "${expected}"`,
  );
}

/** Fails unless `actual` matches. */
export function assertMatch(
  actual: string,
  expected: RegExp,
  message?: string,
): void {
  nodeAssert.match(actual, expected, message);
}

/** Fails unless `actual` > `expected`. */
export function assertGreater<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  nodeAssert.ok(actual > expected, message ?? `${actual} is not > ${expected}`);
}

/** Fails unless `actual` ≥ `expected`. */
export function assertGreaterOrEqual<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  nodeAssert.ok(
    actual >= expected,
    message ?? `${actual} is not >= ${expected}`,
  );
}

/** Fails unless `actual` < `expected`. */
export function assertLess<T>(actual: T, expected: T, message?: string): void {
  nodeAssert.ok(actual < expected, message ?? `${actual} is not < ${expected}`);
}

/** Fails unless `actual` ≤ `expected`. */
export function assertLessOrEqual<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  nodeAssert.ok(
    actual <= expected,
    message ?? `${actual} is not <= ${expected}`,
  );
}

/** Fails. */
export function fail(message = ""): never {
  nodeAssert.fail(message || "failed");
}

/** Fails: this must not be reached. */
export function unreachable(reason = "unreachable"): never {
  nodeAssert.fail(reason);
}

/** Fails unless `error` is of the class and its message has the text in it. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  errorClass?: ErrorClass<E>,
  messageMatches?: string | RegExp,
  message?: string,
): asserts error is E {
  if (!(error instanceof Error)) {
    return fail(message ?? `expected an Error, got ${error}`);
  }
  if (errorClass !== undefined && !(error instanceof errorClass)) {
    fail(message ?? `expected ${errorClass.name}, got ${error.name}: ${error}`);
  }
  if (typeof messageMatches === "string") {
    assertStringIncludes(error.message, messageMatches, message);
  } else if (messageMatches !== undefined) {
    assertMatch(error.message, messageMatches, message);
  }
}

/** A message, if nothing is expected of the error; else class, text and message. */
type Expectation = [
  first?: ErrorClass<Error> | string,
  messageIncludes?: string,
  message?: string,
];

/** What was thrown, which must be as expected. */
function asExpected(error: unknown, expectation: Expectation): unknown {
  const [errorClass, messageIncludes, message] = expectation;
  if (typeof errorClass === "function") {
    assertIsError(error, errorClass, messageIncludes, message);
  }
  return error;
}

/** Fails because nothing was thrown. */
function nothingThrown(what: string, expectation: Expectation): never {
  const [first, , message = what] = expectation;
  fail(typeof first === "string" ? first : message);
}

/** Fails unless `fn` throws; returns what it threw, whatever that is. */
export function assertThrows(fn: () => unknown, message?: string): unknown;
/** Fails unless `fn` throws such an error; returns it. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E>,
  messageIncludes?: string,
  message?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  ...expectation: Expectation
): unknown {
  try {
    fn();
  } catch (error) {
    return asExpected(error, expectation);
  }
  nothingThrown("expected function to throw", expectation);
}

/** Fails unless the promise of `fn` rejects; resolves to its reason. */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  message?: string,
): Promise<unknown>;
/** Fails unless the promise of `fn` rejects with such an error. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  messageIncludes?: string,
  message?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  ...expectation: Expectation
): Promise<unknown> {
  // What is thrown at once is no rejection.
  const promise = fn();
  try {
    await promise;
  } catch (error) {
    return asExpected(error, expectation);
  }
  nothingThrown("expected function to reject", expectation);
}
