/**
 * Contracts: services that are described once, with the schemas of any library that
 * implements [Standard Schema](https://standardschema.dev), such as Zod, Valibot or
 * ArkType. A contract types both sides, without the code of the other one, and
 * validates what they send each other.
 *
 * Nothing else of the package depends on this module: services without a contract
 * stay plain objects.
 *
 * @example
 * ```ts
 * import { clientOf, contract, implement, method } from "@qtalk/qtalk/contract";
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 * import { z } from "npm:zod@^4";
 *
 * const api = contract({
 *   name: "math",
 *   methods: { add: method({ args: [z.number(), z.number()], result: z.number() }) },
 * });
 * const handler = implement(api, { add: (a, b) => a + b });
 *
 * const [peer] = memoryPair({}, { handler });
 * await using _ = peer;
 * assertEquals(await clientOf(api, peer).add(1, 2), 3);
 * ```
 *
 * @module
 */
export { metaOf } from "./call_meta.ts";
export { clientOf, type ClientOfOptions } from "./client_of.ts";
export {
  type AnyMethod,
  type ArgumentSpec,
  type Bytes,
  bytes,
  type Contract,
  contract,
  type ContractInit,
  type ContractMethod,
  type ContractMethods,
  type ErrorSpecs,
  method,
  type MethodInit,
  type ObjectMembers,
  type ObjectOf,
  objectOf,
  type Optional,
  optional,
  type OptionalSpec,
  type ResultSpec,
  type StreamOf,
  streamOf,
  type ValueSpec,
} from "./contract.ts";
export {
  type DeclaredErrorInit,
  makeError,
  matchError,
} from "./declared_error.ts";
export {
  type ArgumentDescription,
  type CallbackDescription,
  type ContractDescription,
  describe,
  type DescribeOptions,
  type JsonSchema,
  type JsonSchemaConverter,
  type MemberDescription,
  type MethodDescription,
  type ValueDescription,
} from "./describe.ts";
export { contractOf, implement, type ImplementOptions } from "./implement.ts";
export type {
  InputOf,
  OutputOf,
  StandardIssue,
  StandardJsonSchema,
  StandardProps,
  StandardResult,
  StandardSchema,
} from "./validation/standard_schema.ts";
export type {
  ContractCallback,
  ContractClient,
  DeclaredError,
  Implementation,
  MethodFunction,
  ServiceOf,
  ValidatingClient,
} from "./types.ts";
export {
  ValidationError,
  type ValidationIssue,
} from "./validation/validation_error.ts";
