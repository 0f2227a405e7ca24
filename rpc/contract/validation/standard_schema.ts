/**
 * The part of Standard Schema and of Standard JSON Schema
 * (https://standardschema.dev) that contracts use, as types. Schemas of any library
 * that implements them fit; none has to be imported here.
 *
 * @module
 */

/**
 * A schema of any library that implements Standard Schema, such as Zod, Valibot or
 * ArkType.
 *
 * @typeParam Input what it accepts
 * @typeParam Output what it makes of that
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** What Standard Schema defines. */
  readonly "~standard": StandardProps<Input, Output>;
}

/** The members of a schema that Standard Schema defines. */
export interface StandardProps<Input = unknown, Output = Input> {
  /** The version of Standard Schema. */
  readonly version: 1;
  /** The name of the library. */
  readonly vendor: string;
  /** Checks a value. */
  readonly validate: (
    value: unknown,
  ) => StandardResult<Output> | Promise<StandardResult<Output>>;
  /** Not needed at run time: it carries the two types. */
  readonly types?:
    | { readonly input: Input; readonly output: Output }
    | undefined;
  /** What Standard JSON Schema defines, in libraries that implement it. */
  readonly jsonSchema?: StandardJsonSchema | undefined;
}

/**
 * The result of validating a value: the output of the schema, or what is wrong with
 * the value.
 */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

/** One thing that is wrong with a value. */
export interface StandardIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where in the value. */
  readonly path?:
    | readonly (PropertyKey | { readonly key: PropertyKey })[]
    | undefined;
}

/** Gives the JSON Schema of a schema. Both throw if there is none. */
export interface StandardJsonSchema {
  /** Describes what the schema accepts. */
  readonly input: (
    options: { readonly target: "draft-2020-12" },
  ) => Record<string, unknown>;
  /** Describes what the schema makes of it. */
  readonly output: (
    options: { readonly target: "draft-2020-12" },
  ) => Record<string, unknown>;
}

/** What a schema accepts. */
export type InputOf<S extends StandardSchema> = NonNullable<
  S["~standard"]["types"]
>["input"];

/** What a schema makes of what it accepts. */
export type OutputOf<S extends StandardSchema> = NonNullable<
  S["~standard"]["types"]
>["output"];

/** The members that Standard Schema defines, if a value is a schema. */
export function standardOf(value: unknown): StandardProps | undefined {
  // The schemas of some libraries are functions.
  const isSchema = typeof value === "object" && value !== null ||
    typeof value === "function";
  const { "~standard": standard } = isSchema
    ? value as Partial<StandardSchema>
    : {};
  return typeof standard?.validate === "function" ? standard : undefined;
}
