/**
 * Services that can be asked about themselves: what can be called, whether they
 * work, and how they are used. It has its own subpath, so programs that do not use
 * it do not load it, and calls of services without it cost nothing extra.
 *
 * @example
 * ```ts
 * import { handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import { withReflection } from "@qtalk/qtalk/reflection";
 * import { assertEquals } from "@std/assert";
 *
 * const service = { hello: (name: string) => `Hello, ${name}` };
 * const handler = withReflection(handlerFrom(service), { name: "greeter" });
 *
 * const [client] = memoryPair({}, { handler });
 * await using _ = client;
 * assertEquals(await client.call("/_qtalk/describe"), {
 *   name: "greeter",
 *   methods: [{ selector: "hello", params: 1 }],
 * });
 * ```
 *
 * @module
 */
export { description } from "../handler/invoke.ts";
export { describeHandler } from "./description.ts";
export {
  DEFAULT_REFLECTION_OPTIONS,
  type ReflectedService,
  type ReflectionOptions,
  withReflection,
} from "./with_reflection.ts";
export type {
  CallFigures,
  DescribedArgument,
  DescribedCallback,
  DescribedMember,
  DescribedMethod,
  DescribedSchema,
  DescribedValue,
  LatencyFigures,
  MethodStats,
  ServiceDescription,
  ServiceHealth,
  ServiceStats,
} from "./types.ts";
