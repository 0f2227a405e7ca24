import { standardOf, type StandardSchema } from "./standard_schema.ts";

/** The key, in a method or a stream of a contract, of what it is. */
const kind: unique symbol = Symbol("qtalk.contract");

/** A stream of values that a schema describes. See {@linkcode streamOf}. */
export interface StreamOf<S extends StandardSchema = StandardSchema> {
  /** The schema of each value. */
  readonly values: S;
  /** @ignore */
  readonly [kind]: "stream";
}

/** A stream of bytes in both directions. See {@linkcode bytes}. */
export interface Bytes {
  /** @ignore */
  readonly [kind]: "bytes";
}

/** What an argument is: a value, or a stream of values. */
export type ArgumentSpec = StandardSchema | StreamOf;

/** What a method answers with: a value, a stream of values, bytes, or nothing. */
export type ResultSpec = StandardSchema | StreamOf | Bytes | undefined;

/** The errors of a method: the schemas of their details, by their codes. */
export type ErrorSpecs = Readonly<Record<string, StandardSchema>>;

/** What {@linkcode method} makes a method of. */
export interface MethodInit<
  Args extends readonly ArgumentSpec[] = readonly ArgumentSpec[],
  Rest extends StandardSchema | undefined = StandardSchema | undefined,
  Result extends ResultSpec = ResultSpec,
  Errors extends ErrorSpecs = ErrorSpecs,
  Meta extends StandardSchema | undefined = StandardSchema | undefined,
> {
  /**
   * A schema for each argument, or {@linkcode streamOf} one. Arguments at the end
   * whose schemas accept `undefined` can be left out. Default: none.
   */
  args?: Args | undefined;
  /** The schema of each further argument. Default: there are no others. */
  rest?: Rest | undefined;
  /**
   * What it answers with: a schema, {@linkcode streamOf} one, or {@linkcode bytes}.
   * Default: nothing, which arrives as `null`.
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
 * Any method of a contract. It does not say more, so that the compiler infers the
 * types of a method from its schemas alone, and not from where it stands.
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
  /** What each argument is. */
  readonly args: Args;
  /** The schema of each further argument. */
  readonly rest: Rest;
  /** What it answers with. */
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

/** What {@linkcode contract} makes a contract of. */
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
 * of it, and {@linkcode clientOf} an object that calls it.
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
 * @throws {TypeError} if the name is empty, or if something in `methods` is neither
 * a method nor an object with methods, or has a name that cannot be called
 */
export function contract<const Methods extends ContractMethods>(
  init: ContractInit<Methods>,
): Contract<Methods> {
  const { name, version, doc, methods } = init;
  if (typeof name !== "string" || name === "") {
    throw new TypeError("Cannot make contract: it has no name");
  }
  checkMethods(name, methods, "", new Set());
  return Object.freeze({ name, version, doc, methods });
}

/**
 * Describes a method of a {@linkcode contract}.
 *
 * @param init its arguments, its result and its errors
 * @throws {TypeError} if one of them is not a schema, or not what can stand there
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
  const { args = [], rest, result, errors = {}, meta, doc } = init;
  for (const [i, argument] of args.entries()) {
    if (isStreamOf(argument)) continue;
    checkSchema(
      argument,
      `args[${i}]`,
      "neither a schema nor streamOf(schema)",
    );
  }
  if (rest !== undefined) checkSchema(rest, "rest", "not a schema");
  if (meta !== undefined) checkSchema(meta, "meta", "not a schema");
  if (result !== undefined && !isStreamOf(result) && !isBytes(result)) {
    checkSchema(
      result,
      "result",
      "neither a schema, streamOf(schema) nor bytes()",
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
 * Describes a stream of values, as an argument or as the result of a
 * {@linkcode method}.
 *
 * @param values the schema of each value
 * @throws {TypeError} if it is not a schema
 */
export function streamOf<S extends StandardSchema>(values: S): StreamOf<S> {
  if (standardOf(values) === undefined) {
    throw new TypeError(
      "Cannot describe stream: its values are not described by a schema",
    );
  }
  return Object.freeze({ values, [kind]: "stream" as const });
}

/**
 * Describes a stream of bytes in both directions, as the result of a
 * {@linkcode method}. (A stream of bytes in one direction is
 * {@linkcode streamOf} a schema that accepts a `Uint8Array`.)
 */
export function bytes(): Bytes {
  return Object.freeze({ [kind]: "bytes" as const });
}

/** The methods, and the objects with more of them, that a contract has there. */
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
    typeof methods !== "object" || methods === null ||
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
  for (const [member, value] of Object.entries(methods)) {
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

/** Whether clients cannot have a method of this name, because of what calls it. */
function isTaken(name: string): boolean {
  return name in Object.prototype || name === "then" || name === "toJSON";
}
