import { callback, Keeper, keeperOf } from "../callback/kept_callback.ts";
import { borrowedFrom } from "../callback/pointers.ts";
import { CallError } from "../errors.ts";
import { type Special, specialOf } from "../handler/function_handler.ts";
import { special } from "../handler/invoke.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import { isValueStream, openSource } from "../wire/value_source.ts";
import { callOf } from "./checked_call.ts";
import {
  type ContractMethod,
  isMethod,
  isObjectOf,
  isOptionalOf,
  isStreamOf,
  type ValueSpec,
} from "./contract.ts";
import { Implemented } from "./implemented.ts";
import type { StandardSchema } from "./validation/standard_schema.ts";
import {
  type Checks,
  type Eventual,
  type Place,
  validate,
  type Validated,
  validateEach,
  whenever,
} from "./validation/validate.ts";
import {
  iterableFrom,
  streamFrom,
  ValidatedSource,
} from "./validation/validated_stream.ts";
import {
  placeOf,
  ValidationError,
  type ValidationIssue,
} from "./validation/validation_error.ts";

/** Makes the wrapper of a function. */
type Wrap = (
  spec: ContractMethod,
  fn: AnyFunction,
  name: string,
) => AnyFunction;

/** The position of a value within another one. */
type Path = readonly (string | number)[];

/** The differences between values that arrive and values that are sent. */
interface Way {
  /** Makes the replacement of a stream, whose values `open` checks. */
  stream(stream: object, open: () => ValidatedSource): unknown;
  /** Makes the wrapper of a function. */
  fn(spec: ContractMethod, fn: AnyFunction, name: string): AnyFunction;
  /** Checks a value of a schema. */
  plain(
    spec: StandardSchema,
    value: unknown,
    path: Path,
  ): Eventual<Validated>;
}

/** The wrappers of functions. */
class Wrapped {
  readonly #wrap: Wrap;
  readonly #wrappers = new WeakMap<
    AnyFunction,
    WeakMap<ContractMethod, AnyFunction>
  >();
  readonly #originals = new WeakMap<AnyFunction, AnyFunction>();

  constructor(wrap: Wrap) {
    this.#wrap = wrap;
  }

  /** Returns its wrapper; the same one each time. */
  of(spec: ContractMethod, fn: AnyFunction, name: string): AnyFunction {
    let wrappers = this.#wrappers.get(fn);
    if (wrappers === undefined) {
      this.#wrappers.set(fn, wrappers = new WeakMap());
    }
    let wrapper = wrappers.get(spec);
    if (wrapper === undefined) {
      wrapper = this.#wrap(spec, fn, name);
      wrappers.set(spec, wrapper);
      this.#originals.set(wrapper, fn);
    }
    return wrapper;
  }

  /** Returns the function that a wrapper replaces. */
  originalOf(fn: AnyFunction): AnyFunction | undefined {
    return this.#originals.get(fn);
  }
}

/**
 * How one side of a contract checks what it sends and receives: the side that
 * implements it, or the one that calls it.
 *
 * Values of schemas that transform are transformed by the side that implements the
 * contract, in both directions, also those of functions and streams. The other side
 * may leave checking out. So it sends values as they are, if they are valid.
 */
export class Side implements Checks {
  readonly #implements: boolean;
  readonly #checksSent: boolean;
  readonly #lent: Wrapped;
  readonly #borrowed: Wrapped;
  readonly #receiving: Way = {
    stream: (stream, open) => withLifeOf(stream, streamFrom(open)),
    fn: (spec, fn, name) =>
      this.#lent.originalOf(fn) ?? this.#borrowed.of(spec, fn, name),
    plain: validate,
  };
  readonly #sending: Way = {
    // A stream that came from the peer goes back to it unchanged.
    stream: (stream, open) =>
      borrowedFrom(stream) === undefined ? iterableFrom(open) : stream,
    fn: (spec, fn, name) =>
      this.#borrowed.originalOf(fn) === undefined
        ? this.#lent.of(spec, fn, name)
        : fn,
    plain: (spec, value, path) => this.#checkSent(spec, value, path),
  };

  /**
   * Makes a side.
   *
   * @param role what it does with the contract
   * @param checksSent whether it checks what it sends
   */
  constructor(role: "implements" | "calls", checksSent: boolean) {
    this.#implements = role === "implements";
    this.#checksSent = checksSent;
    this.#lent = new Wrapped((spec, fn, name) => lent(spec, fn, name, this));
    this.#borrowed = new Wrapped((spec, fn, name) =>
      borrowed(spec, fn, name, this)
    );
  }

  /** Whether it checks what it sends. */
  get checksSent(): boolean {
    return this.#checksSent;
  }

  /** Checks a value that has arrived. */
  received(
    spec: ValueSpec,
    value: unknown,
    path: Path,
    place: Place,
  ): Eventual<Validated> {
    return this.#check(spec, value, path, place, this.#receiving);
  }

  /** Checks a value that is to be sent. */
  sent(
    spec: ValueSpec,
    value: unknown,
    path: Path,
    place: Place,
  ): Eventual<Validated> {
    return this.#check(spec, value, path, place, this.#sending);
  }

  /** Checks a value, and what is in it, in one of the directions. */
  #check(
    spec: ValueSpec,
    value: unknown,
    path: Path,
    place: Place,
    way: Way,
  ): Eventual<Validated> {
    const checkPart = (spec: ValueSpec, value: unknown, path: Path) =>
      this.#check(spec, value, path, place, way);
    if (isOptionalOf(spec)) {
      return value === undefined || value === null
        ? { value: undefined }
        : checkPart(spec.value, value, path);
    }
    if (isStreamOf(spec)) {
      if (!isValueStream(value)) return expected("a stream", path);
      const { values } = spec;
      return {
        value: way.stream(value, () =>
          new ValidatedSource(openSource(value), {
            check: (value, i) => checkPart(values, value, [...path, i]),
            error: place.error,
          })),
      };
    }
    if (isObjectOf(spec)) {
      return membersOf(spec.members, value, path, checkPart);
    }
    if (isMethod(spec)) {
      if (typeof value !== "function") return expected("a function", path);
      const name = nameOf(path, place);
      return { value: way.fn(spec, value as AnyFunction, name) };
    }
    return way.plain(spec as StandardSchema, value, path);
  }

  #checkSent(
    spec: StandardSchema,
    value: unknown,
    path: Path,
  ): Eventual<Validated> {
    if (!this.#checksSent) return { value };
    const checked = validate(spec, value, path);
    if (this.#implements) return checked;
    return whenever(
      checked,
      (result) => result.issues === undefined ? { value } : result,
    );
  }

  /** The error for a result that has arrived. */
  invalidResponse(
    message: string,
    issues: readonly ValidationIssue[],
  ): Error {
    // A function is not responsible for what a callback returns.
    return this.#implements
      ? new CallError(message, { code: "invalid-result", details: issues })
      : new ValidationError("invalid-result", message, issues);
  }
}

/** How errors refer to a function. */
function nameOf(
  path: Path,
  { name, what }: Place,
): string {
  return `callback ${placeOf(what, path)} of ${name}`;
}

function expected(
  what: string,
  path: Path,
): Validated {
  return { issues: [{ path, message: `Expected ${what}` }] };
}

/** Checks the members of an object, and makes an object of those alone. */
function membersOf(
  members: Readonly<Record<string, ValueSpec>>,
  value: unknown,
  path: Path,
  check: (
    spec: ValueSpec,
    value: unknown,
    path: Path,
  ) => Eventual<Validated>,
): Eventual<Validated> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return expected("an object", path);
  }
  const names = Object.keys(members);
  const object = value as Record<string, unknown>;
  const memberOf = (name: string) =>
    name in Object.prototype && !Object.hasOwn(object, name)
      ? undefined
      : object[name];
  const checked = validateEach(names.length, (i) => {
    const name = names[i]!;
    return check(members[name]!, memberOf(name), [...path, name]);
  });
  return whenever(checked, (result): Validated => {
    if (result.issues !== undefined) return result;
    const entries = names.map((name, i) => [name, result.value[i]] as const);
    return {
      value: Object.fromEntries(
        entries.filter(([, value]) => value !== undefined),
      ),
    };
  });
}

/** A function of this side that checks the arguments from the peer. */
function lent(
  spec: ContractMethod,
  fn: AnyFunction,
  name: string,
  side: Side,
): AnyFunction {
  const implemented = new Implemented(spec, fn, undefined, side, name);
  const how = specialOf(implemented.toFunction()) as Special;
  // The program may get it back in a place without a description, and call it.
  const marked = Object.assign((...args: never[]) => fn(...args), {
    [special]: how,
  });
  const keeper = keeperOf(fn);
  return keeper instanceof Keeper ? keeper.keepToo(callback(marked)) : marked;
}

/** A function of the peer that checks what it returns. */
function borrowed(
  spec: ContractMethod,
  fn: AnyFunction,
  name: string,
  side: Side,
): AnyFunction {
  return withLifeOf(fn, callOf(spec, fn, name, side));
}

/**
 * Gives what takes the place of a function or stream of the peer what programs
 * find on that: `retain()`, `release()`, and what it is sent back by.
 */
function withLifeOf<T extends object>(original: object, substitute: T): T {
  for (const key of Reflect.ownKeys(original)) {
    if (typeof key !== "symbol" && key !== "retain" && key !== "release") {
      continue;
    }
    if (Object.hasOwn(substitute, key)) continue;
    const member = (original as Record<PropertyKey, unknown>)[key];
    Object.defineProperty(substitute, key, {
      value: key !== "retain" ? member : () => {
        (member as () => void)();
        return substitute;
      },
      configurable: true,
      writable: true,
    });
  }
  return substitute;
}
