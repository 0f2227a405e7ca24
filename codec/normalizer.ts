import { CodecError } from "./errors.ts";

/**
 * Converts values to values that a codec's library encodes as the codec
 * promises, and refuses those that it cannot encode. Values that need no
 * conversion are not copied.
 *
 * These rules are the same for all codecs: `undefined` becomes `null`, and a
 * member of an object that is `undefined` is left out; an object with
 * `toJSON()` becomes the result of it; an object of any class of the program
 * becomes a plain object of its own enumerable members; functions, symbols,
 * streams, async iterables, objects of built-in classes (`Map`, `Error`, ...) and
 * those with methods or getters but no members of their own are refused, as they
 * would become `{}`.
 */
export abstract class Normalizer {
  readonly #codec: string;
  /** How many members were counted so far. */
  #members = 0;
  /** Where in the value the part is that was refused, such as `[0].name`. */
  #path = "";

  /** Makes a normalizer for the codec of this name. */
  constructor(codec: string) {
    this.#codec = codec;
  }

  /** Converts a number. */
  protected abstract number(value: number): unknown;
  /** Converts a bigint. */
  protected abstract bigint(value: bigint): unknown;
  /** Converts bytes. */
  protected abstract bytes(value: Uint8Array): unknown;

  /** Converts a string. */
  protected string(value: string): string {
    return value;
  }

  /** Converts a key of an object. */
  protected key(key: string): string {
    return key;
  }

  /**
   * Converts a value that is nested no deeper than `depth`.
   *
   * @throws {CodecError} `unsupported-type`, `too-deep` or `too-many-items`
   */
  normalize(value: unknown, depth: number): unknown {
    this.#members = 0;
    try {
      return this.convert(value, depth);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      throw new CodecError(
        "unsupported-type",
        `Cannot encode value as ${this.#codec}: ${error.text}${
          this.#path && `, at value${this.#path}`
        }`,
      );
    } finally {
      // Also for a value around this one, whose toJSON() may have encoded this one.
      this.#path = "";
    }
  }

  /** Converts a value, or one inside of it. */
  protected convert(value: unknown, depth: number): unknown {
    switch (typeof value) {
      case "string":
        return this.string(value);
      case "number":
        return this.number(value);
      case "boolean":
        return value;
      case "undefined":
        return null;
      case "bigint":
        return this.bigint(value);
      case "object":
        return value === null ? null : this.#object(value, depth);
      default:
        return this.other(value);
    }
  }

  /** Converts a function or a symbol; by default it is refused. */
  protected other(value: unknown): unknown {
    throw this.unsupported(`a ${typeof value}`);
  }

  /** Converts a `Date`; by default it becomes the result of its `toJSON()`. */
  protected date(value: Date, _depth: number): unknown {
    return value.toJSON();
  }

  /**
   * Converts an object of a built-in class, such as a `Map`, that has no
   * `toJSON()`; by default it is refused.
   *
   * @param depth how deep the object may be nested, at least 1
   */
  protected builtIn(value: object, _depth: number): unknown {
    throw this.unsupported(kindName(value));
  }

  /** Converts a stream or another async iterable; by default it is refused. */
  protected stream(value: object): unknown {
    throw this.unsupported(
      tagOf(value) === OBJECT ? "an async iterable" : kindName(value),
    );
  }

  /**
   * Counts members of arrays and objects before they are visited.
   *
   * @throws {CodecError} `too-many-items`
   */
  protected countMembers(members: number): void {
    this.#members += members;
    if (this.#members > MAX_MEMBERS) {
      throw new CodecError(
        "too-many-items",
        `Cannot encode value as ${this.#codec}: it has too many items, counting holes and repeated parts`,
      );
    }
  }

  /**
   * Makes what to throw for a part of a value that cannot be encoded.
   *
   * @param what its type
   * @param instead what the program can do instead
   */
  protected unsupported(what: string, instead?: string): Refusal {
    return new Refusal(
      `${what} is not supported${instead ? ` (${instead})` : ""}`,
    );
  }

  #object(value: object, depth: number): unknown {
    // First, as Node's Buffer has a toJSON().
    if (value instanceof Uint8Array) return this.bytes(value);
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON !== "function") return this.#container(value, depth);
    if (value instanceof Date && toJSON === Date.prototype.toJSON) {
      return this.date(value, depth);
    }
    const json: unknown = toJSON.call(value, "");
    // Without another toJSON(), as the result may be the same object.
    return typeof json === "object" && json !== null
      ? this.#container(json, depth)
      : this.convert(json, depth);
  }

  #container(value: object, depth: number): unknown {
    if (depth <= 0) {
      throw new CodecError(
        "too-deep",
        `Cannot encode value as ${this.#codec}: it is nested too deeply, or contains itself`,
      );
    }
    if (Array.isArray(value)) return this.#array(value, depth - 1);
    const plain = isPlainObject(value);
    if (isStream(value, plain)) return this.stream(value);
    if (!plain) {
      if (value instanceof Uint8Array) return this.bytes(value);
      if (tagOf(value) !== OBJECT) return this.builtIn(value, depth);
    }
    return this.#record(value as Record<string, unknown>, plain, depth - 1);
  }

  #array(value: readonly unknown[], depth: number): readonly unknown[] {
    this.countMembers(value.length);
    let copy: unknown[] | undefined;
    let i = 0;
    try {
      for (; i < value.length; i++) {
        const member = value[i];
        const form = this.convert(member, depth);
        if (copy === undefined && !Object.is(form, member)) {
          this.countMembers(3 * value.length);
          copy = value.slice(0, i);
        }
        copy?.push(form);
      }
    } catch (error) {
      this.#path = `[${i}]${this.#path}`;
      throw error;
    }
    return copy ?? value;
  }

  #record(
    value: Record<string, unknown>,
    plain: boolean,
    depth: number,
  ): Record<string, unknown> {
    const keys = Object.keys(value);
    this.countMembers(4 * keys.length);
    if (keys.length === 0 && !plain && hasMembers(value)) {
      throw this.unsupported(
        `an instance of ${typeName(value)}`,
        "it has no data of its own, and methods do not arrive; send an object literal",
      );
    }
    let copy: Record<string, unknown> | undefined = plain ? undefined : {};
    let i = 0;
    try {
      for (; i < keys.length; i++) {
        const key = keys[i]!;
        const member = value[key];
        const name = this.key(key);
        const form = member === undefined
          ? undefined
          : this.convert(member, depth);
        if (copy === undefined) {
          if (form !== undefined && Object.is(form, member) && name === key) {
            continue;
          }
          copy = {};
          for (let j = 0; j < i; j++) define(copy, keys[j]!, value[keys[j]!]);
        }
        if (form !== undefined) define(copy, name, form);
      }
    } catch (error) {
      this.#path = `.${keys[i]}${this.#path}`;
      throw error;
    }
    return copy ?? value;
  }
}

/** The tag of an object of no built-in class. */
const OBJECT = "[object Object]";
/**
 * Why a part of a value cannot be encoded. It becomes an error once it is known where
 * the part is.
 */
class Refusal {
  constructor(readonly text: string) {}
}

/**
 * The elements of arrays that a value may have, which are visited in 0.1 s. Other
 * members, and elements of arrays that are copied, count as four. Values with more are
 * mistakes: arrays of holes, or what contains the same parts again and again, which a
 * few objects can do without end.
 */
const MAX_MEMBERS = 2 ** 24;

/** Whether an object is a stream or another async iterable. */
function isStream(value: object, plain: boolean): boolean {
  const { [Symbol.asyncIterator]: iterate } = value as Partial<
    AsyncIterable<unknown>
  >;
  // Not every browser can iterate its streams.
  return iterate !== undefined ||
    (!plain && (value as Partial<ReadableStream>).getReader !== undefined);
}

/** Whether an object is an object literal, or one without a prototype. */
export function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Whether an object inherits anything but what every object does. */
function hasMembers(value: object): boolean {
  for (
    let prototype = Object.getPrototypeOf(value) as object | null;
    // The last one is `Object.prototype`, perhaps that of another realm.
    prototype !== null && !Object.hasOwn(prototype, "isPrototypeOf");
    prototype = Object.getPrototypeOf(prototype) as object | null
  ) {
    const keys = Reflect.ownKeys(prototype);
    if (keys.some((key) => key !== "constructor")) return true;
  }
  return false;
}

/** Sets a property, even `__proto__`, whose assignment sets the prototype. */
function define(
  target: Record<string, unknown>,
  key: string,
  value: unknown,
): void {
  if (key !== "__proto__") target[key] = value;
  else {
    Object.defineProperty(target, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value);
}

function typeName(value: object): string {
  const name: unknown = value.constructor?.name;
  return typeof name === "string" && name || tagOf(value).slice(8, -1);
}

/** The name of a class with its article. A name with a U, as of a URL, has "a". */
function kindName(value: object): string {
  const name = typeName(value);
  return `${/^[aeio]/i.test(name) ? "an" : "a"} ${name}`;
}
