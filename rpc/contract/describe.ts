import {
  type ArgumentSpec,
  type Contract,
  type ContractMethod,
  type ContractMethods,
  isBytes,
  isMethod,
  isStreamOf,
} from "./contract.ts";
import type { StandardSchema } from "./standard_schema.ts";
import { isThenable } from "./validate.ts";

/**
 * A JSON Schema, of the draft 2020-12 unless a converter makes another one. An
 * empty one says nothing: the library gives none for this schema.
 */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * Makes the JSON Schema of a schema whose library does not implement Standard JSON
 * Schema, such as Valibot's.
 *
 * @param schema a schema of the contract
 * @param side whether to describe what it accepts, or what it makes of that
 * @returns the JSON Schema; undefined to ask the schema itself
 * @throws {unknown} if there is none
 */
export type JsonSchemaConverter = (
  schema: StandardSchema,
  side: "input" | "output",
) => object | undefined;

/** Options for {@linkcode describe}. */
export interface DescribeOptions {
  /**
   * Makes the JSON Schemas. Default: those that the schemas give themselves, by
   * Standard JSON Schema.
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
  /** The schema of each further argument. */
  rest?: JsonSchema;
  /** The schema of the result, or of each value that it streams. */
  result?: JsonSchema;
  /** The schemas of the details of the errors that it declares, by their codes. */
  errors?: Record<string, JsonSchema>;
}

/** An argument as a value that JSON can carry. */
export interface ArgumentDescription {
  /** The schema of the argument, or of each value that is streamed. */
  schema: JsonSchema;
  /** Whether it can be left out. */
  optional?: true;
  /** Whether it is a stream of values. */
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
 *     result: { type: "number" },
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
  for (const [name, member] of Object.entries(methods)) {
    if (isMethod(member)) yield [`${path}${name}`, member];
    else yield* methodsIn(member, `${path}${name}.`);
  }
}

function describeMethod(
  selector: string,
  { args, rest, result, errors, doc }: ContractMethod,
  convert: JsonSchemaConverter | undefined,
): MethodDescription {
  const codes = Object.entries(errors).map(([code, details]) => [
    code,
    jsonSchemaOf(details, "output", convert),
  ]);
  const required = args.findLastIndex((argument) => !isOptional(argument)) + 1;
  return {
    selector,
    kind: isStreamOf(result) ? "stream" : isBytes(result) ? "bytes" : "unary",
    ...(doc !== undefined && { doc }),
    args: args.map((argument, i) => ({
      schema: jsonSchemaOf(valuesOf(argument), "input", convert),
      ...(i >= required && { optional: true as const }),
      ...(isStreamOf(argument) && { stream: true as const }),
    })),
    ...(rest !== undefined && { rest: jsonSchemaOf(rest, "input", convert) }),
    ...(result !== undefined && !isBytes(result) && {
      result: jsonSchemaOf(valuesOf(result), "output", convert),
    }),
    ...(codes.length > 0 && { errors: Object.fromEntries(codes) }),
  };
}

function valuesOf(spec: ArgumentSpec): StandardSchema {
  return isStreamOf(spec) ? spec.values : spec;
}

/** Whether an argument can be left out. A schema only says so when it is tried. */
function isOptional(argument: ArgumentSpec): boolean {
  if (isStreamOf(argument)) return false;
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

function jsonSchemaOf(
  schema: StandardSchema,
  side: "input" | "output",
  convert: JsonSchemaConverter | undefined,
): JsonSchema {
  try {
    const made = convert?.(schema, side) ??
      schema["~standard"].jsonSchema?.[side]({ target: "draft-2020-12" });
    const { $schema: _, ...plain } = JSON.parse(
      JSON.stringify(made ?? {}),
    ) as JsonSchema;
    return plain;
  } catch {
    // Libraries throw for what JSON Schema cannot say.
    return {};
  }
}
