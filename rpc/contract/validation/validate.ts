/**
 * Checks values against the schemas of a contract. What a schema answers at once,
 * and not by a promise, is used at once.
 *
 * @module
 */
import type { Metadata } from "../../wire/metadata.ts";
import type { ContractMethod, ValueSpec } from "../contract.ts";
import type { StandardResult, StandardSchema } from "./standard_schema.ts";
import { issuesAt, limited, type ValidationIssue } from "./validation_error.ts";

/** A value, or a promise of it. */
export type Eventual<T> = T | Promise<T>;

/** The output of a schema, or what is wrong. */
export type Validated<T = unknown> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly ValidationIssue[] };

/** Continues with a value, at once if it is not a promise. */
export function whenever<T, U>(
  eventual: Eventual<T>,
  then: (value: T) => Eventual<U>,
): Eventual<U> {
  return isThenable(eventual) ? Promise.resolve(eventual).then(then) : then(
    eventual as T,
  );
}

/** Whether a value has to be awaited. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null &&
    typeof (value as { then?: unknown }).then === "function";
}

/**
 * Checks one value. On the wire, `undefined` is `null`: a `null` that the schema
 * refuses is `undefined` if the schema accepts that.
 *
 * @param schema what it is checked against
 * @param value the value
 * @param base where it is, for the paths of the issues
 */
export function validate(
  schema: StandardSchema,
  value: unknown,
  base: readonly (string | number)[] = [],
): Eventual<Validated> {
  const standard = schema["~standard"];
  return whenever(standard.validate(value), (result) => {
    if (result.issues === undefined) return result;
    const failed = { issues: limited(issuesAt(result.issues, base)) };
    if (value !== null) return failed;
    return whenever(
      standard.validate(undefined),
      (again: StandardResult<unknown>) =>
        again.issues === undefined ? again : failed,
    );
  });
}

/**
 * Checks the metadata of a call.
 *
 * @param method what it calls
 * @param meta the metadata
 */
export function validateMeta(
  { meta: schema }: ContractMethod,
  meta: Metadata,
): Eventual<Validated> {
  return schema === undefined
    ? { value: undefined }
    : validate(schema, meta, ["meta"]);
}

/** The values that are checked together: those of a call, or those of its answer. */
export interface Place {
  /** What is called: a selector in quotes, or `callback args[0] of "/each"`. */
  readonly name: string;
  /** Which part of the call they are. */
  readonly what: "args" | "result";
  /** Makes the error for an invalid value of a stream. */
  readonly error: (issues: readonly ValidationIssue[]) => Error;
}

/** How a side checks what it sends and receives. */
export interface Checks {
  /** Whether it checks what it sends. */
  readonly checksSent: boolean;
  /** Checks a value that has arrived. */
  received(
    spec: ValueSpec,
    value: unknown,
    path: readonly (string | number)[],
    place: Place,
  ): Eventual<Validated>;
  /** Checks a value that is to be sent. */
  sent(
    spec: ValueSpec,
    value: unknown,
    path: readonly (string | number)[],
    place: Place,
  ): Eventual<Validated>;
  /** The error for a result that has arrived. */
  invalidResponse(message: string, issues: readonly ValidationIssue[]): Error;
}

/** Checks a value that a contract describes, at a place. */
export type ValueCheck = (
  spec: ValueSpec,
  value: unknown,
  path: readonly (string | number)[],
) => Eventual<Validated>;

/**
 * Checks the arguments of a call, one after the other.
 *
 * @param method what it calls
 * @param args the arguments
 * @param check checks each
 */
export function validateArguments(
  method: ContractMethod,
  args: readonly unknown[],
  check: ValueCheck,
): Eventual<Validated<unknown[]>> {
  const { args: specs, rest } = method;
  const count = rest === undefined
    ? specs.length
    : Math.max(specs.length, args.length);
  if (args.length > count) {
    const message = `Expected at most ${count} ${
      count === 1 ? "argument" : "arguments"
    }, got ${args.length}`;
    return { issues: [{ path: [count], message }] };
  }
  return validateEach(count, (i) => check(specs[i] ?? rest!, args[i], [i]));
}

/** Checks so many values, one after the other, also those after an invalid one. */
export function validateEach(
  count: number,
  check: (i: number) => Eventual<Validated>,
): Eventual<Validated<unknown[]>> {
  const values: unknown[] = [];
  const issues: ValidationIssue[] = [];
  const add = (result: Validated) => {
    if (result.issues === undefined) values.push(result.value);
    else issues.push(...result.issues);
  };
  const from = (start: number): Eventual<Validated<unknown[]>> => {
    for (let i = start; i < count; i++) {
      const result = check(i);
      if (isThenable(result)) {
        return Promise.resolve(result).then((result) => {
          add(result);
          return from(i + 1);
        });
      }
      add(result as Validated);
    }
    return issues.length === 0
      ? { value: values }
      : { issues: limited(issues) };
  };
  return from(0);
}
