/**
 * What the command line uses of this layer besides `internal.ts`, and the core does
 * not. No entry point exports this module.
 *
 * @module
 */
export { kindOf } from "./callback/pointers.ts";
export {
  type DescribedArgument,
  type DescribedCallback,
  type DescribedMethod,
  type DescribedSchema,
  type DescribedValue,
  type ReflectionOptions,
  type ServiceDescription,
  type ServiceHealth,
  withReflection,
} from "./reflection/mod.ts";
