/**
 * Finds what belongs to the runtime by its name. What is not there, or throws when it
 * is read, is undefined.
 *
 * @module
 */

/** Modules of Bun that are none of Node's. */
const BUN_MODULE = /^(?:bun|undici$|ws$)/;

/** An object by the names of its members. */
export type Members = Readonly<Record<string, unknown>>;

interface Process {
  getBuiltinModule?: (name: string) => Members | undefined;
  /** What Node has loaded. */
  moduleLoadList?: readonly string[];
}

/** What Deno calls `Deno`; undefined in other runtimes. */
export function denoNamespace(): Members | undefined {
  return (globalThis as { Deno?: Members }).Deno;
}

/** Whether an object has a value under a name. */
export function isMember(owner: object, name: string, value: unknown): boolean {
  return memberOf(owner, name) === value;
}

/** What an object has under a name; undefined if it is no object. */
export function memberOf(owner: unknown, name: string): unknown {
  try {
    return (owner as Members)[name];
  } catch {
    // Some members throw without a permission or a flag.
    return undefined;
  }
}

/** Node's `process`, where there is one. */
export function nodeProcess(): Process | undefined {
  const { process } = globalThis as { process?: unknown };
  return typeof process === "object" && process !== null ? process : undefined;
}

/**
 * A module of Node, or what it has under a name, which may be a path:
 * `fs/promises`, `readline.promises.Readline`.
 */
export function nodeMember(path: string): unknown {
  const [module, ...names] = path.split(".");
  try {
    // Not all runtimes have it, and not all of them have all modules.
    const name = BUN_MODULE.test(module!) ? module! : `node:${module}`;
    return names.reduce(memberOf, nodeProcess()?.getBuiltinModule?.(name));
  } catch {
    return undefined;
  }
}

/** Whether a value can have members. */
export function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null ||
    typeof value === "function";
}

/** The value of an own property, without calling getters. */
export function ownValue(object: object, name: string | symbol): unknown {
  return Object.getOwnPropertyDescriptor(object, name)?.value;
}
