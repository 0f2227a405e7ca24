/** The part of Node's `process` that is used here. */
interface ProcessLike {
  getBuiltinModule?(name: string): unknown;
}

/**
 * A module of Node, which Bun and Deno have as well; undefined in other runtimes.
 * No import names it, so that bundles for browsers do not look for it.
 */
export function builtinModule<T>(name: string): T | undefined {
  const { process } = globalThis as { process?: ProcessLike };
  return process?.getBuiltinModule?.(name) as T | undefined;
}

/**
 * A module of Node that the caller cannot do without.
 *
 * @throws {Error} `NotSupported` where there is none
 */
export function requiredModule<T>(name: string): T {
  const module = builtinModule<T>(name);
  if (module !== undefined) return module;
  const error = new Error(
    `this runtime lacks ${name}, which Deno, Node 22 and Bun have`,
  );
  error.name = "NotSupported";
  throw error;
}
