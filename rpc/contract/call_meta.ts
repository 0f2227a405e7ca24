import type { Call } from "../types.ts";
import type { ContractMethod } from "./contract.ts";
import type { OutputOf, StandardSchema } from "./validation/standard_schema.ts";

/** The key, in a call, of its metadata after validation. */
const validated: unique symbol = Symbol("qtalk.validatedMeta");

/** Metadata that was validated, and the method whose schema did. */
interface ValidatedMeta {
  readonly method: ContractMethod;
  readonly meta: unknown;
}

/** Keeps validated metadata with its call. */
export function keepMeta(
  call: Call,
  method: ContractMethod,
  meta: unknown,
): void {
  Object.assign(call, { [validated]: { method, meta } });
}

/**
 * Returns the metadata of a call as the schema of the method has transformed it.
 * (`call.meta` is the metadata as it was sent.)
 *
 * @example
 * ```ts
 * import { clientOf, contract, implement, metaOf, method } from "@qtalk/qtalk/contract";
 * import { memoryPair, withCall } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 * import { z } from "npm:zod@^4";
 *
 * const api = contract({
 *   name: "shop",
 *   methods: {
 *     order: method({
 *       args: [z.string()],
 *       result: z.string(),
 *       meta: z.object({ tenant: z.string() }),
 *     }),
 *   },
 * });
 * const { order } = api.methods;
 * const handler = implement(api, {
 *   order: withCall((call, item) => `${item} for ${metaOf(order, call).tenant}`),
 * });
 *
 * const [peer] = memoryPair({}, { handler });
 * await using _ = peer;
 * const shop = clientOf(api, peer, { meta: { tenant: "Ann" } });
 * assertEquals(await shop.order("tea"), "tea for Ann");
 * ```
 *
 * @param method the method that was called
 * @param call its call
 * @throws {TypeError} if the call is of another method, or the method has no schema
 * for metadata
 */
export function metaOf<M extends ContractMethod>(
  method: M,
  call: Call,
): M["meta"] extends StandardSchema ? OutputOf<M["meta"]> : never {
  const kept = (call as { [validated]?: ValidatedMeta } | undefined)
    ?.[validated];
  if (kept?.method !== method) {
    throw new TypeError(
      "Cannot get metadata: the method has not validated that of this call",
    );
  }
  return kept.meta as never;
}
