/**
 * Three libraries of schemas that implement Standard Schema, for the tests of
 * contracts, and the same schemas written in each of them.
 *
 * @module
 */
import { type } from "npm:arktype@^2";
import * as v from "npm:valibot@^1";
import { z } from "npm:zod@^4";
import type { StandardSchema } from "../../rpc/contract/mod.ts";

export { toJsonSchema } from "npm:@valibot/to-json-schema@^1";
export { type, v, z };

/** What the schemas of users describe. */
export interface User {
  readonly name: string;
  readonly age: number;
}

/** The same schemas in one library. */
export interface SchemaLibrary {
  readonly number: StandardSchema<number>;
  readonly text: StandardSchema<string>;
  readonly maybeText: StandardSchema<string | undefined>;
  /** Drops the keys that it does not know. */
  readonly user: StandardSchema<User>;
  /** Refuses them. */
  readonly strictUser: StandardSchema<User>;
  /** Keeps them. */
  readonly looseUser: StandardSchema<User>;
  readonly users: StandardSchema<User[]>;
  /** Makes the length of a string. */
  readonly length: StandardSchema<string, number>;
  /** Makes 5 of what is left out. */
  readonly five: StandardSchema<number | undefined, number>;
  /** Answers by a promise, if the library can. */
  readonly even: StandardSchema<number> | undefined;
}

const zodUser = { name: z.string(), age: z.int().min(0) };
const valibotUser = {
  name: v.string(),
  age: v.pipe(v.number(), v.integer(), v.minValue(0)),
};
const arktypeUser = {
  name: "string",
  age: "number.integer >= 0",
} as const;

/** Waits for the event loop, and says whether a number is even. */
async function isEven(n: number): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  return n % 2 === 0;
}

/** The libraries by their names. */
export const SCHEMA_LIBRARIES: Readonly<Record<string, SchemaLibrary>> = {
  zod: {
    number: z.number(),
    text: z.string(),
    maybeText: z.string().optional(),
    user: z.object(zodUser),
    strictUser: z.strictObject(zodUser),
    looseUser: z.looseObject(zodUser),
    users: z.array(z.object(zodUser)),
    length: z.string().transform((text) => text.length),
    five: z.number().default(5),
    even: z.number().refine(isEven, "Expected an even number"),
  },
  valibot: {
    number: v.number(),
    text: v.string(),
    maybeText: v.optional(v.string()),
    user: v.object(valibotUser),
    strictUser: v.strictObject(valibotUser),
    looseUser: v.looseObject(valibotUser),
    users: v.array(v.object(valibotUser)),
    length: v.pipe(v.string(), v.transform((text) => text.length)),
    five: v.optional(v.number(), 5),
    even: v.pipeAsync(
      v.number(),
      v.checkAsync(isEven, "Expected an even number"),
    ),
  },
  arktype: {
    number: type("number"),
    text: type("string"),
    maybeText: type("string | undefined"),
    user: type({ ...arktypeUser, "+": "delete" }),
    strictUser: type({ ...arktypeUser, "+": "reject" }),
    looseUser: type(arktypeUser),
    users: type({ ...arktypeUser, "+": "delete" }).array(),
    length: type("string").pipe((text) => text.length),
    five: type("number | undefined").pipe((n) => n ?? 5),
    even: undefined,
  },
};
