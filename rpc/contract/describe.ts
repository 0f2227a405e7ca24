import { checkFunctions, checkObject } from "../../check_option.ts";
import {
  checkContract,
  type Contract,
  type ContractMethod,
  type ContractMethods,
  isBytes,
  isMethod,
  isObjectOf,
  isOptionalOf,
  isSchema,
  isStreamOf,
  membersIn,
  type ValueSpec,
} from "./contract.ts";
import type { StandardSchema } from "./validation/standard_schema.ts";
import { isThenable } from "./validation/validate.ts";

/** A JSON Schema, of the draft 2020-12 unless a converter makes another one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * Makes the JSON Schema of a schema whose library does not implement Standard JSON
 * Schema, such as Valibot's.
 *
 * @param schema a schema of the contract
 * @param side whether to describe what it accepts, or what it makes of that
 * @returns the JSON Schema; undefined to ask the schema itself
 * @throws {unknown} if there is none: the description is then without it
 */
export type JsonSchemaConverter = (
  schema: StandardSchema,
  side: "input" | "output",
) => object | undefined;

/** Options for {@linkcode describe}. */
export interface DescribeOptions {
  /**
   * Makes the JSON Schemas. Default: the schemas make them, by Standard JSON
   * Schema.
   */
  toJsonSchema?: JsonSchemaConverter | undefined;
}

/** A contract as a value that JSON can carry. */
export interface ContractDescription {
  /** The name of the service. */
  name: string;
  /** Its version. */
  version?: string;
  /** What the service is for. */
  doc?: string;
  /** Its methods, in the order of the contract. */
  methods: MethodDescription[];
}

/** A method as a value that JSON can carry. */
export interface MethodDescription {
  /** What to call: `math.add`. */
  selector: string;
  /** Whether it answers with a value, with a stream of values, or with bytes. */
  kind: "unary" | "stream" | "bytes";
  /** What it does. */
  doc?: string;
  /** Its arguments. */
  args: ArgumentDescription[];
  /** Each further argument, if there can be others. */
  rest?: ValueDescription;
  /** The result, or each value that it streams. Without it, nothing is returned. */
  result?: ValueDescription;
  /** The metadata of a call, if it describes it. */
  meta?: ValueDescription;
  /** The details of the errors that it declares, by their codes. */
  errors?: Record<string, ValueDescription>;
}

/** The description of a value. */
export interface ValueDescription {
  /** Its JSON Schema, unless the library gives none. */
  schema?: JsonSchema;
  /** The description of the function, if the value is one. */
  callback?: CallbackDescription;
  /**
   * The description of its values, if it is a stream in an object or in another
   * stream.
   */
  values?: ValueDescription;
  /** Its members by their names, if some are functions or streams. */
  members?: Record<string, MemberDescription>;
}

/** A function in an argument or in a result. */
export type CallbackDescription = Omit<MethodDescription, "selector">;

/** A member of an object. */
export interface MemberDescription extends ValueDescription {
  /** Whether it can be left out. */
  optional?: true;
}

/** An argument as a value that JSON can carry. */
export interface ArgumentDescription extends ValueDescription {
  /** Whether it can be left out. */
  optional?: true;
  /** Whether it is a stream, and the schema that of each value. */
  stream?: true;
}

/**
 * Describes a contract as a value that JSON can carry: methods with their kinds,
 * documentation and JSON Schemas.
 *
 * @example
 * ```ts
 * import { contract, describe, method } from "@qtalk/qtalk/contract";
 * import { assertEquals } from "@std/assert";
 * import { z } from "npm:zod@^4";
 *
 * const api = contract({
 *   name: "math",
 *   version: "1.0",
 *   methods: {
 *     sqrt: method({ args: [z.number().min(0)], result: z.number(), doc: "The root." }),
 *   },
 * });
 * assertEquals(describe(api), {
 *   name: "math",
 *   version: "1.0",
 *   methods: [{
 *     selector: "sqrt",
 *     kind: "unary",
 *     doc: "The root.",
 *     args: [{ schema: { type: "number", minimum: 0 } }],
 *     result: { schema: { type: "number" } },
 *   }],
 * });
 * ```
 *
 * @param contract what is described
 * @param options what makes the JSON Schemas
 */
export function describe(
  contract: Contract,
  options: DescribeOptions = {},
): ContractDescription {
  checkContract(contract);
  checkObject("options of describe()", options);
  checkFunctions(options, "toJsonSchema");
  const { name, version, doc, methods } = contract;
  const described = [...methodsIn(methods, "")].map(([selector, method]) =>
    describeMethod(selector, method, options.toJsonSchema)
  );
  return {
    name,
    ...(version !== undefined && { version }),
    ...(doc !== undefined && { doc }),
    methods: described,
  };
}

function* methodsIn(
  methods: ContractMethods,
  path: string,
): Generator<[string, ContractMethod]> {
  for (const [name, member] of membersIn(methods)) {
    if (isMethod(member)) yield [`${path}${name}`, member];
    else yield* methodsIn(member, `${path}${name}.`);
  }
}

function describeMethod(
  selector: string,
  method: ContractMethod,
  convert: JsonSchemaConverter | undefined,
): MethodDescription {
  return { selector, ...describeFunction(method, "input", convert) };
}

/**
 * Describes a method or another function.
 *
 * @param side whether to describe what the schemas of arguments accept, or what
 * they make of that
 */
function describeFunction(
  { args, rest, result, errors, meta, doc }: ContractMethod,
  side: Side,
  convert: JsonSchemaConverter | undefined,
): CallbackDescription {
  const accepted = (spec: ValueSpec) => describeValue(spec, side, convert);
  const made = (spec: ValueSpec) =>
    describeValue(spec, side === "input" ? "output" : "input", convert);
  const codes = Object.entries(errors).map(([code, details]) => [
    code,
    made(details),
  ]);
  const required = args.findLastIndex((argument) => !isOptional(argument)) + 1;
  return {
    kind: isStreamOf(result) ? "stream" : isBytes(result) ? "bytes" : "unary",
    ...(doc !== undefined && { doc }),
    args: args.map((argument, i) => ({
      ...accepted(isStreamOf(argument) ? argument.values : argument),
      ...(i >= required && { optional: true as const }),
      ...(isStreamOf(argument) && { stream: true as const }),
    })),
    ...(rest !== undefined && { rest: accepted(rest) }),
    ...(result !== undefined && !isBytes(result) && {
      result: made(isStreamOf(result) ? result.values : result),
    }),
    ...(meta !== undefined && { meta: accepted(meta) }),
    ...(codes.length > 0 && { errors: Object.fromEntries(codes) }),
  };
}

/** Whether an argument can be left out. To find out, the schema has to be tried. */
function isOptional(argument: ValueSpec): boolean {
  if (isOptionalOf(argument)) return true;
  if (!isSchema(argument)) return false;
  try {
    const result = argument["~standard"].validate(undefined);
    if (!isThenable(result)) {
      return (result as { issues?: unknown }).issues === undefined;
    }
    void Promise.resolve(result).catch(() => {});
    return false;
  } catch {
    return false;
  }
}

/** Which side of its schema describes a value. */
type Side = "input" | "output";

function describeValue(
  spec: ValueSpec,
  side: Side,
  convert: JsonSchemaConverter | undefined,
): ValueDescription {
  if (isOptionalOf(spec)) return describeValue(spec.value, side, convert);
  if (isStreamOf(spec)) {
    return { values: describeValue(spec.values, side, convert) };
  }
  if (isMethod(spec)) {
    // The arguments of a callback go in the other direction.
    const other = side === "input" ? "output" : "input";
    return { callback: describeFunction(spec, other, convert) };
  }
  if (isObjectOf(spec)) {
    const members = Object.entries(spec.members).map(([name, member]) => [
      name,
      {
        ...describeValue(member, side, convert),
        ...(isOptional(member) && { optional: true as const }),
      },
    ]);
    return { members: Object.fromEntries(members) };
  }
  return isSchema(spec) ? describeSchema(spec, side, convert) : {};
}

function describeSchema(
  schema: StandardSchema,
  side: Side,
  convert: JsonSchemaConverter | undefined,
): ValueDescription {
  try {
    const made = convert?.(schema, side) ??
      schema["~standard"].jsonSchema?.[side]({ target: "draft-2020-12" });
    if (made === undefined) return {};
    const { $schema: _, ...plain } = JSON.parse(
      JSON.stringify(made),
    ) as JsonSchema;
    return { schema: plain };
  } catch {
    // Libraries throw for schemas that JSON Schema cannot express.
    return {};
  }
}
