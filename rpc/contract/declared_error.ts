import { checkObject } from "../../check_option.ts";
import { CallError, RemoteError } from "../errors.ts";
import { checkMethod, type ContractMethod } from "./contract.ts";
import type { InputOf } from "./validation/standard_schema.ts";
import type { DeclaredError } from "./types.ts";
import { validate } from "./validation/validate.ts";

/** The parts of an error that a method declares, besides its text. */
export interface DeclaredErrorInit<
  M extends ContractMethod,
  Code extends keyof M["errors"] & string,
> extends ErrorOptions {
  /** The code, one of those that the method declares. */
  code: Code;
  /** What the schema for this code accepts. */
  details: InputOf<M["errors"][Code]>;
}

/**
 * Makes an error that a method declares, for the function that implements it to
 * throw: a `CallError` whose code and details are typed.
 *
 * @example
 * ```ts
 * import { clientOf, contract, implement, makeError, matchError, method } from "@qtalk/qtalk/contract";
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 * import { z } from "npm:zod@^4";
 *
 * const api = contract({
 *   name: "shop",
 *   methods: {
 *     order: method({
 *       args: [z.string(), z.int()],
 *       result: z.void(),
 *       errors: { "out-of-stock": z.object({ left: z.int() }) },
 *     }),
 *   },
 * });
 * const { order } = api.methods;
 * const handler = implement(api, {
 *   order(item, count) {
 *     throw makeError(order, `There are not ${count} of ${item}`, {
 *       code: "out-of-stock",
 *       details: { left: 2 },
 *     });
 *   },
 * });
 *
 * const [peer] = memoryPair({}, { handler });
 * await using _ = peer;
 * try {
 *   await clientOf(api, peer).order("tea", 3);
 * } catch (error) {
 *   const declared = await matchError(order, error);
 *   if (declared === undefined) throw error;
 *   assertEquals(declared.code, "out-of-stock");
 *   assertEquals(declared.details.left, 2);
 * }
 * ```
 *
 * @param method the method that declares it
 * @param message the text for the caller
 * @param init its code, its details, and its cause
 * @throws {TypeError} if the method does not declare the code
 */
export function makeError<
  M extends ContractMethod,
  const Code extends keyof M["errors"] & string,
>(
  method: M,
  message: string,
  init: DeclaredErrorInit<M, Code>,
): CallError {
  checkMethod(method);
  checkObject("description of error", init);
  if (!Object.hasOwn(method.errors, init.code)) {
    throw new TypeError(
      `Cannot make error: the method does not declare the code "${init.code}"`,
    );
  }
  return new CallError(message, init);
}

/**
 * Finds out whether a call has failed with an error that the method declares.
 *
 * @param method the method that was called
 * @param error what the call has rejected with
 * @returns the code and the details of the error, whose type depends on the code;
 * undefined if it is another error, or its details do not match the schema
 */
export async function matchError<M extends ContractMethod>(
  method: M,
  error: unknown,
): Promise<DeclaredError<M> | undefined> {
  checkMethod(method);
  if (!(error instanceof RemoteError || error instanceof CallError)) {
    return undefined;
  }
  const { code } = error;
  if (code === undefined || !Object.hasOwn(method.errors, code)) {
    return undefined;
  }
  const validated = await validate(method.errors[code]!, error.details);
  if (validated.issues !== undefined) return undefined;
  return {
    code,
    text: error instanceof RemoteError ? error.text : error.message,
    details: validated.value,
  } as DeclaredError<M>;
}
