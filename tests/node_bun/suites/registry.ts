/**
 * The tests that files register by `Deno.test()`.
 *
 * @module
 */

/** What a test is given. */
export interface Context {
  /** Its name. */
  name: string;
  /** Runs a part of it. */
  step: (...args: never[]) => Promise<boolean>;
}

/** A test. */
export interface Registered {
  name: string;
  ignore: boolean;
  fn: (context: Context) => unknown;
}

type Body = (context: Context) => unknown;
type Options = Partial<Registered>;

let registered: Registered[] = [];

/** `Deno.test()`, and `step()` of a context, in each of their forms. */
export function definition(args: readonly unknown[]): Registered {
  const found: Options = {};
  for (const arg of args) {
    if (typeof arg === "string") found.name = arg;
    else if (typeof arg === "function") {
      found.fn = arg as Body;
      found.name ??= arg.name;
    } else Object.assign(found, arg);
  }
  return { name: found.name!, ignore: found.ignore ?? false, fn: found.fn! };
}

/** `Deno.test()`. */
export const register = Object.assign(
  (...args: unknown[]) => void registered.push(definition(args)),
  {
    ignore: (...args: unknown[]) =>
      void registered.push({ ...definition(args), ignore: true }),
  },
);

/** The tests that were registered since this was last called. */
export function takeRegistered(): Registered[] {
  const taken = registered;
  registered = [];
  return taken;
}
