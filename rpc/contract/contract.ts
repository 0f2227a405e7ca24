import { checkObject, kindOf, wrongKind } from "../../check_option.ts";
import {
  standardOf,
  type StandardSchema,
} from "./validation/standard_schema.ts";

/** The key, in a method or a stream of a contract, of its kind. */
const kind: unique symbol = Symbol("qtalk.contract");

/** A stream of values. See {@linkcode streamOf}. */
export interface StreamOf<S extends ValueSpec = ValueSpec> {
  /** What each value is. */
  readonly values: S;
  /** @ignore */
  readonly [kind]: "stream";
}

/** An object whose members are described one by one. See {@linkcode objectOf}. */
export interface ObjectOf<
  Members extends ObjectMembers = ObjectMembers,
> {
  /** What each member is. */
  readonly members: Members;
  /** @ignore */
  readonly [kind]: "object";
}

/** The descriptions of the members of an object, by their names. */
export type ObjectMembers = Readonly<Record<string, ValueSpec>>;

/**
 * A function, a stream or an object that can be left out. See {@linkcode optional}.
 */
export interface Optional<S extends OptionalSpec = OptionalSpec> {
  /** What it is if it is not left out. */
  readonly value: S;
  /** @ignore */
  readonly [kind]: "optional";
}

/**
 * What {@linkcode optional} accepts. Schemas themselves say whether a value is
 * optional.
 */
export type OptionalSpec = StreamOf | ObjectOf | AnyMethod;

/** A stream of bytes in both directions. See {@linkcode bytes}. */
export interface Bytes {
  /** @ignore */
  readonly [kind]: "bytes";
}

/**
 * The description of a value: a schema, a stream, a function (described as a
 * {@linkcode method}), or an object that contains these.
 */
export type ValueSpec =
  | StandardSchema
  | StreamOf
  | ObjectOf
  | Optional
  | AnyMethod;

/** What an argument is. */
export type ArgumentSpec = ValueSpec;

/** What a method answers with: a value, a stream of values, bytes, or nothing. */
export type ResultSpec = ValueSpec | Bytes | undefined;

/** The errors of a method: the schemas of their details, by their codes. */
export type ErrorSpecs = Readonly<Record<string, StandardSchema>>;

/** The parts of a method, for {@linkcode method}. */
export interface MethodInit<
  Args extends readonly ArgumentSpec[] = readonly ArgumentSpec[],
  Rest extends StandardSchema | undefined = StandardSchema | undefined,
  Result extends ResultSpec = ResultSpec,
  Errors extends ErrorSpecs = ErrorSpecs,
  Meta extends StandardSchema | undefined = StandardSchema | undefined,
> {
  /**
   * What each argument is: a schema, {@linkcode streamOf} one, a method for a
   * function, or {@linkcode objectOf} these. Arguments at the end that are
   * {@linkcode optional}, or whose schemas accept `undefined`, can be left out.
   * Default: none.
   */
  args?: Args | undefined;
  /** The schema of each further argument. Default: there are no others. */
  rest?: Rest | undefined;
  /**
   * What it answers with: as an argument, or {@linkcode bytes}. Default: nothing,
   * which arrives as `null`.
   */
  result?: Result | undefined;
  /**
   * The schemas of the details of errors, by the codes of the errors. Other errors
   * can be thrown, too. Default: none.
   */
  errors?: Errors | undefined;
  /**
   * The schema of the metadata of a call, as one object. It should accept names
   * that it does not know: middleware and interceptors use others. Default: any
   * metadata is accepted.
   */
  meta?: Meta | undefined;
  /** What the method does, for people. Default: none. */
  doc?: string | undefined;
}

/**
 * Any method of a contract. It has no members, so that the compiler infers the
 * types of a method only from its schemas, and not from the context.
 */
export interface AnyMethod {
  /** @ignore */
  readonly [kind]: "method";
}

/** A method of a contract. Made by {@linkcode method}. */
export interface ContractMethod<
  Args extends readonly ArgumentSpec[] = readonly ArgumentSpec[],
  Rest extends StandardSchema | undefined = StandardSchema | undefined,
  Result extends ResultSpec = ResultSpec,
  Errors extends ErrorSpecs = ErrorSpecs,
  Meta extends StandardSchema | undefined = StandardSchema | undefined,
> extends AnyMethod {
  /** The description of each argument. */
  readonly args: Args;
  /** The schema of each further argument. */
  readonly rest: Rest;
  /** The description of the result. */
  readonly result: Result;
  /** The schemas of the details of errors, by the codes of the errors. */
  readonly errors: Errors;
  /** The schema of the metadata of a call. */
  readonly meta: Meta;
  /** What the method does. */
  readonly doc: string | undefined;
}

/** Methods, and objects with more of them, by name. */
export interface ContractMethods {
  /** A method, or an object with methods. */
  readonly [name: string]: AnyMethod | ContractMethods;
}

/** The parts of a contract, for {@linkcode contract}. */
export interface ContractInit<Methods extends ContractMethods> {
  /** The name of the service. */
  name: string;
  /** Its version, in any form. Default: none. */
  version?: string | undefined;
  /** What the service is for, for people. Default: none. */
  doc?: string | undefined;
  /** Its methods, and objects with more of them. */
  methods: Methods;
}

/** The description of a service. Made by {@linkcode contract}. */
export interface Contract<Methods extends ContractMethods = ContractMethods> {
  /** The name of the service. */
  readonly name: string;
  /** Its version. */
  readonly version: string | undefined;
  /** What the service is for. */
  readonly doc: string | undefined;
  /** Its methods, and objects with more of them. */
  readonly methods: Methods;
}

/**
 * Describes a service once, for both sides: {@linkcode implement} makes a handler
 * from it, and {@linkcode clientOf} an object that calls such a handler.
 *
 * @example
 * ```ts
 * import { clientOf, contract, implement, method, streamOf } from "@qtalk/qtalk/contract";
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 * import { z } from "npm:zod@^4";
 *
 * const api = contract({
 *   name: "math",
 *   version: "1.0",
 *   methods: {
 *     add: method({ args: [z.number(), z.number()], result: z.number() }),
 *     count: method({ args: [z.int()], result: streamOf(z.int()) }),
 *   },
 * });
 *
 * const handler = implement(api, {
 *   add: (a, b) => a + b,
 *   async *count(to) {
 *     for (let n = 1; n <= to; n++) yield n;
 *   },
 * });
 *
 * const [peer] = memoryPair({}, { handler });
 * await using _ = peer;
 * const math = clientOf(api, peer);
 * assertEquals(await math.add(1, 2), 3);
 * assertEquals(await Array.fromAsync(math.count(3)), [1, 2, 3]);
 * ```
 *
 * @param init the name of the service, and its methods
 * @throws {TypeError} if the name is empty, or if a member of `methods` is neither
 * a method nor an object with methods, or has a name that cannot be called
 */
export function contract<const Methods extends ContractMethods>(
  init: ContractInit<Methods>,
): Contract<Methods> {
  checkObject("description of contract", init);
  const { name, version, doc, methods } = init;
  if (typeof name !== "string" || name === "") {
    throw new TypeError("Cannot make contract: it has no name");
  }
  checkMethods(name, methods, "", new Set());
  return Object.freeze({ name, version, doc, methods });
}

/**
 * Describes a method of a {@linkcode contract}, or a function among its arguments
 * or in its result.
 *
 * @example A function as an argument
 * ```ts
 * import { clientOf, contract, implement, method } from "@qtalk/qtalk/contract";
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 * import { z } from "npm:zod@^4";
 *
 * const compare = method({ args: [z.number(), z.number()], result: z.number() });
 * const api = contract({
 *   name: "lists",
 *   methods: {
 *     max: method({ args: [z.array(z.number()), compare], result: z.number() }),
 *   },
 * });
 * const handler = implement(api, {
 *   async max([max = 0, ...rest], compare) {
 *     for (const n of rest) if (await compare(n, max) > 0) max = n;
 *     return max;
 *   },
 * });
 * const [peer] = memoryPair({}, { handler });
 * await using _ = peer;
 * const lists = clientOf(api, peer);
 * assertEquals(await lists.max([-7, 3], (a, b) => Math.abs(a) - Math.abs(b)), -7);
 * ```
 *
 * @param init its arguments, its result and its errors
 * @throws {TypeError} if a part of `init` is of the wrong kind, such as an argument
 * that is not a schema
 */
export function method<
  const Args extends readonly ArgumentSpec[] = readonly [],
  Rest extends StandardSchema | undefined = undefined,
  Result extends ResultSpec = undefined,
  const Errors extends ErrorSpecs = Record<never, StandardSchema>,
  Meta extends StandardSchema | undefined = undefined,
>(
  init: MethodInit<Args, Rest, Result, Errors, Meta> = {},
): ContractMethod<Args, Rest, Result, Errors, Meta> {
  checkObject("description of method", init);
  const { args = [], rest, result, errors = {}, meta, doc } = init;
  checkObject("errors of method", errors);
  if (!Array.isArray(args)) {
    throw new TypeError("Cannot describe method: args is not an array");
  }
  for (const [i, argument] of args.entries()) {
    if (isComposed(argument)) continue;
    checkSchema(
      argument,
      `args[${i}]`,
      "neither a schema, streamOf(schema), objectOf(members) nor a method",
    );
  }
  if (rest !== undefined) checkSchema(rest, "rest", "not a schema");
  if (meta !== undefined) checkSchema(meta, "meta", "not a schema");
  if (result !== undefined && !isComposed(result) && !isBytes(result)) {
    checkSchema(
      result,
      "result",
      "neither a schema, streamOf(schema), objectOf(members), a method nor bytes()",
    );
  }
  for (const [code, details] of Object.entries(errors)) {
    checkSchema(details, `errors["${code}"]`, "not a schema");
  }
  return Object.freeze({
    args: args as Args,
    rest: rest as Rest,
    result: result as Result,
    errors: errors as Errors,
    meta: meta as Meta,
    doc,
    [kind]: "method" as const,
  });
}

/**
 * Describes a stream of values: an argument or the result of a {@linkcode method},
 * or a part of these.
 *
 * @param values the description of each value, such as a schema
 * @throws {TypeError} if `values` does not describe a value
 */
export function streamOf<S extends ValueSpec>(values: S): StreamOf<S> {
  if (!isComposed(values) && standardOf(values) === undefined) {
    throw new TypeError(
      "Cannot describe stream: its values are not described by a schema",
    );
  }
  return Object.freeze({ values, [kind]: "stream" as const });
}

/**
 * Describes an object that contains functions or streams, which schemas cannot
 * describe. Members that are not listed are dropped.
 *
 * @example
 * ```ts
 * import { clientOf, contract, implement, method, objectOf, optional, streamOf } from "@qtalk/qtalk/contract";
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 * import { z } from "npm:zod@^4";
 *
 * const upload = objectOf({
 *   name: z.string(),
 *   lines: streamOf(z.string()),
 *   onProgress: optional(method({ args: [z.int()] })),
 * });
 * const api = contract({
 *   name: "files",
 *   methods: { upload: method({ args: [upload], result: z.int() }) },
 * });
 * const handler = implement(api, {
 *   async upload({ lines, onProgress }) {
 *     let count = 0;
 *     for await (const _ of lines) await onProgress?.(++count);
 *     return count;
 *   },
 * });
 * const [peer] = memoryPair({}, { handler });
 * await using _ = peer;
 * const seen: number[] = [];
 * const count = await clientOf(api, peer).upload({
 *   name: "a.txt",
 *   lines: ReadableStream.from(["a", "b"]),
 *   onProgress: (n) => void seen.push(n),
 * });
 * assertEquals([count, seen], [2, [1, 2]]);
 * ```
 *
 * @param members what each member is, by its name
 * @throws {TypeError} if a member does not describe a value
 */
export function objectOf<const Members extends ObjectMembers>(
  members: Members,
): ObjectOf<Members> {
  checkObject("members of object", members);
  for (const [name, member] of Object.entries(members)) {
    if (isComposed(member) || standardOf(member) !== undefined) continue;
    throw new TypeError(
      `Cannot describe object: "${name}" is neither a schema, streamOf(schema), objectOf(members) nor a method`,
    );
  }
  return Object.freeze({
    members: Object.freeze({ ...members }),
    [kind]: "object" as const,
  });
}

/**
 * Describes a function, a stream or an object that can be left out. (For values,
 * the schema itself says so.)
 *
 * @param value the description of what can be left out
 * @throws {TypeError} if it is none of these
 */
export function optional<S extends OptionalSpec>(value: S): Optional<S> {
  if (!isComposed(value)) {
    throw new TypeError(
      "Cannot make optional: it is neither streamOf(schema), objectOf(members) nor a method",
    );
  }
  return Object.freeze({ value, [kind]: "optional" as const });
}

/**
 * Describes a stream of bytes in both directions, as the result of a
 * {@linkcode method}. (A stream of bytes in one direction is
 * {@linkcode streamOf} a schema that accepts a `Uint8Array`.)
 */
export function bytes(): Bytes {
  return Object.freeze({ [kind]: "bytes" as const });
}

/**
 * Checks what functions of this module take for a contract.
 *
 * @throws {TypeError} if it is none
 */
export function checkContract(value: unknown): void {
  const { methods } = (value ?? {}) as Partial<Contract>;
  if (kindOf(methods) === "an object") return;
  throw wrongKind("contract", value, "a contract; contract() makes one");
}

/**
 * Checks what functions of this module take for a method of a contract.
 *
 * @throws {TypeError} if it is none
 */
export function checkMethod(value: unknown): void {
  if (isMethod(value)) return;
  throw wrongKind("method", value, "a method of a contract");
}

/** The entries of a group of methods: methods, and objects with more of them. */
export function membersIn(
  methods: ContractMethods,
): [name: string, member: ContractMethod | ContractMethods][] {
  return Object.entries(methods) as [string, ContractMethod][];
}

/** Whether a member of a contract is a method. */
export function isMethod(value: unknown): value is ContractMethod {
  return kindIn(value) === "method";
}

/** Whether an argument or a result is a stream of values. */
export function isStreamOf(value: unknown): value is StreamOf {
  return kindIn(value) === "stream";
}

/** Whether a value is an object with members of their own. */
export function isObjectOf(value: unknown): value is ObjectOf {
  return kindIn(value) === "object";
}

/** Whether a value can be left out. */
export function isOptionalOf(value: unknown): value is Optional {
  return kindIn(value) === "optional";
}

/** Whether a value is described by a schema alone. */
export function isSchema(spec: ValueSpec): spec is StandardSchema {
  return !isComposed(spec);
}

/** Whether a value is described by something other than a schema. */
function isComposed(value: unknown): boolean {
  const what = kindIn(value);
  return what !== undefined && what !== "bytes";
}

/** Whether a result is a stream of bytes. */
export function isBytes(value: unknown): value is Bytes {
  return kindIn(value) === "bytes";
}

function kindIn(value: unknown): unknown {
  return typeof value === "object" && value !== null
    ? (value as { [kind]?: unknown })[kind]
    : undefined;
}

function checkSchema(value: unknown, where: string, problem: string): void {
  if (standardOf(value) !== undefined) return;
  throw new TypeError(`Cannot describe method: ${where} is ${problem}`);
}

/**
 * Checks the methods of a contract.
 *
 * @param path the names of the objects that they are in, each with a dot after it
 * @param outer those objects
 */
function checkMethods(
  name: string,
  methods: unknown,
  path: string,
  outer: ReadonlySet<unknown>,
): void {
  const fail = (problem: string) => {
    throw new TypeError(`Cannot make contract "${name}": ${problem}`);
  };
  if (
    kindOf(methods) !== "an object" ||
    standardOf(methods) !== undefined || kindIn(methods) !== undefined ||
    outer.has(methods)
  ) {
    return fail(
      `${
        path === "" ? "methods" : `"${path.slice(0, -1)}"`
      } is neither a method nor an object with methods`,
    );
  }
  const inner = new Set(outer).add(methods);
  for (const [member, value] of Object.entries(methods as object)) {
    if (member === "" || /[./]/.test(member)) {
      fail(
        `"${path}${member}" cannot be called, because of "${member}": a name is not empty, and has neither "." nor "/"`,
      );
    }
    if (isTaken(member)) {
      fail(
        `"${path}${member}" cannot be called, because JavaScript itself calls "${member}"`,
      );
    }
    if (!isMethod(value)) {
      checkMethods(name, value, `${path}${member}.`, inner);
    }
  }
}

/**
 * Whether clients cannot have a method of this name, because JavaScript itself
 * calls or looks up such methods.
 */
function isTaken(name: string): boolean {
  return name in Object.prototype || name === "then" || name === "toJSON";
}
