/**
 * What the examples of the documentation use of `@std/assert`, which plain npm
 * cannot install.
 *
 * @module
 */
import { deepStrictEqual, notStrictEqual, ok } from "node:assert";

export { ok as assert };
type ErrorClass<E> = abstract new (...args: never[]) => E;

export function assertEquals<T>(actual: T, expected: T): void {
  deepStrictEqual(actual, expected);
}

export async function assertRejects<E = unknown>(
  run: () => PromiseLike<unknown>,
  type?: ErrorClass<E>,
  text = "",
): Promise<E> {
  const none = Symbol();
  const error = await run().then(() => none, (error: unknown) => error);
  notStrictEqual(error, none, "It resolves");
  checkError(error, type, text);
  return error as E;
}

export function assertThrows<E = unknown>(
  run: () => unknown,
  type?: ErrorClass<E>,
  text = "",
): E {
  try {
    run();
  } catch (error) {
    checkError(error, type, text);
    return error as E;
  }
  throw new Error("It does not throw");
}

function checkError(
  error: unknown,
  type: ErrorClass<unknown> = Object,
  text: string,
): void {
  ok(error instanceof type && `${error}`.includes(text), `${error}`);
}
