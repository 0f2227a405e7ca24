import { CodecError } from "./errors.ts";

/**
 * Turns values into what a codec's library writes as the codec promises, and
 * refuses what has no form in it. What needs no change is not copied.
 *
 * The rules that all codecs share are here: `undefined` is `null`, and a member
 * that is `undefined` is left out; what has `toJSON()` is what that returns;
 * objects are their own enumerable members, whatever their class, but objects
 * of built-in classes (`Map`, `Error`, streams, …), functions and symbols are
 * refused rather than sent as `{}`.
 */
export abstract class Normalizer {
  readonly #codec: string;

  /** Makes the rules of the codec of that name. */
  constructor(codec: string) {
    this.#codec = codec;
  }

  /** The form of a number. */
  protected abstract number(value: number): unknown;
  /** The form of a bigint. */
  protected abstract bigint(value: bigint): unknown;
  /** The form of bytes. */
  protected abstract bytes(value: Uint8Array): unknown;

  /** The form of a string. */
  protected string(value: string): string {
    return value;
  }

  /** The form of an object's key. */
  protected key(key: string): string {
    return key;
  }

  /**
   * The form of `value`, in which nothing is nested deeper than `depth`.
   *
   * @throws {CodecError} `unsupported-type` or `too-deep`
   */
  normalize(value: unknown, depth: number): unknown {
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

  /** The form of a function or a symbol, of which codecs have none. */
  protected other(value: unknown): unknown {
    throw this.unsupported(`a ${typeof value}`);
  }

  /** The error for a value without a form: `what` names its type. */
  protected unsupported(what: string): CodecError {
    return new CodecError(
      "unsupported-type",
      `Cannot encode value as ${this.#codec}: ${what} is not supported`,
    );
  }

  #object(value: object, depth: number): unknown {
    // Node's Buffer has a toJSON(), but is bytes all the same.
    if (value instanceof Uint8Array) return this.bytes(value);
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON !== "function") return this.#members(value, depth);
    const json: unknown = toJSON.call(value, "");
    // Its own toJSON() is not asked again: it may be the same object.
    return typeof json === "object" && json !== null
      ? this.#members(json, depth)
      : this.normalize(json, depth);
  }

  #members(value: object, depth: number): unknown {
    if (depth <= 0) {
      throw new CodecError(
        "too-deep",
        `Cannot encode value as ${this.#codec}: it is nested too deep, or in itself`,
      );
    }
    if (Array.isArray(value)) return this.#array(value, depth - 1);
    const plain = isPlainObject(value);
    if (!plain) {
      if (value instanceof Uint8Array) return this.bytes(value);
      const tag = Object.prototype.toString.call(value);
      if (tag !== "[object Object]") {
        throw this.unsupported(`a ${typeName(value, tag)}`);
      }
    }
    return this.#record(value as Record<string, unknown>, plain, depth - 1);
  }

  #array(value: readonly unknown[], depth: number): readonly unknown[] {
    let copy: unknown[] | undefined;
    for (let i = 0; i < value.length; i++) {
      const member = value[i];
      const form = this.normalize(member, depth);
      if (copy === undefined && !Object.is(form, member)) {
        copy = value.slice(0, i);
      }
      copy?.push(form);
    }
    return copy ?? value;
  }

  #record(
    value: Record<string, unknown>,
    plain: boolean,
    depth: number,
  ): Record<string, unknown> {
    const keys = Object.keys(value);
    let copy: Record<string, unknown> | undefined = plain ? undefined : {};
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!;
      const member = value[key];
      const name = this.key(key);
      const form = member === undefined
        ? undefined
        : this.normalize(member, depth);
      if (copy === undefined) {
        if (form !== undefined && Object.is(form, member) && name === key) {
          continue;
        }
        copy = {};
        for (let j = 0; j < i; j++) define(copy, keys[j]!, value[keys[j]!]);
      }
      if (form !== undefined) define(copy, name, form);
    }
    return copy ?? value;
  }
}

/** Whether an object is an object literal, or one without a prototype. */
export function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Sets a property, even the one that assignment takes for the prototype. */
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

function typeName(value: object, tag: string): string {
  const name: unknown = value.constructor?.name;
  return typeof name === "string" && name !== "" ? name : tag.slice(8, -1);
}
