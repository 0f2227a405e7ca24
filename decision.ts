/**
 * The decisions of a program's functions about who may connect or ask: `accept`,
 * `authenticate` and `authorize`.
 *
 * All follow one rule. `true` permits. `false` refuses, and so does an error. Anything
 * else is a mistake of the program, such as a missing `return`, and permits nothing.
 * (Only `authorize` may return nothing, because it may be a check that throws.)
 *
 * @module
 */

/**
 * Whether a decision permits what was asked for.
 *
 * @param option the name of the option whose function has decided
 * @param decision what the function returned, after its promise was awaited
 * @param expected what it may return, for the error. Default: a boolean
 * @throws {TypeError} if it is not a boolean
 */
export function isPermitted(
  option: string,
  decision: unknown,
  expected = "a boolean",
): boolean {
  if (typeof decision === "boolean") return decision;
  // Not the value itself, which may be a secret: callers get some of these errors.
  const what = decision === null ? "null" : `of type ${typeof decision}`;
  throw new TypeError(
    `Cannot use what option "${option}" returned: it is ${what}, and not ${expected}`,
  );
}
