/**
 * What belongs to the runtime, or to Node's built-in modules, and not to the
 * program. It is found by identity: Deno and Node write many of their classes in
 * JavaScript, so their source text looks like that of a program.
 *
 * Nothing is searched ahead of need: reading all globals would load what the
 * runtime loads lazily, which takes Deno 11 ms for `process` alone. A class is
 * looked up by its name where a class of that name would be, and as Node's only if
 * it looks like one of them.
 *
 * @module
 */
import {
  denoNamespace,
  isObject,
  memberOf,
  nodeMember,
  nodeProcess,
  ownValue,
} from "./runtime_members.ts";
import { CLASSES, EMITTERS, MADE_BY_NODE, rowsOf } from "./tables.ts";

/** Globals that Deno lists among the enumerable ones, like those of programs. */
const ENUMERABLE_CLASSES = ["Buffer", "EventSource"];

/**
 * Whether a prototype is that of a built-in class. The search for a program's
 * methods ends there.
 */
export function isBuiltInPrototype(prototype: object): boolean {
  const built: unknown = ownValue(prototype, "constructor");
  if (typeof built !== "function") {
    return isIterators(prototype) || isListed("Module", prototype);
  }
  if (isNative(built)) return true;
  const name: unknown = ownValue(built, "name");
  if (typeof name !== "string") return false;
  return isGlobalClass(name, prototype) ||
    isListed(name, prototype) || isMadeByNode(name, prototype) ||
    looksLikeEmitter(prototype) &&
      (processPrototypes().includes(prototype) ||
        isEmitter(name, prototype));
}

/**
 * Whether a function is the method of this name of `EventEmitter` or
 * `EventTarget`, copied into `owner`, an object or a prototype of the program, as
 * in `Object.assign(Service.prototype, EventEmitter.prototype)`.
 */
export function isMixedIn(owner: object, name: string, fn: object): boolean {
  const from: object[] = [EventTarget.prototype];
  if (Object.hasOwn(owner, "rawListeners")) from.push(...processPrototypes());
  return from.some((prototype) => ownValue(prototype, name) === fn);
}

function isGlobalClass(name: string, prototype: object): boolean {
  const has = (owner: unknown) =>
    isPrototypeOf(memberOf(owner, name), prototype);
  const { enumerable = true } =
    Object.getOwnPropertyDescriptor(globalThis, name) ?? {};
  // What a program puts there is enumerable.
  if (!enumerable || ENUMERABLE_CLASSES.includes(name)) return has(globalThis);
  const deno = denoNamespace();
  return deno !== undefined && (has(deno) || has(deno["errors"]));
}

/** Whether a prototype is one that {@linkcode CLASSES} leads to. */
function isListed(name: string, prototype: object): boolean {
  return rowsOf(CLASSES).some(([key, path, ...methods]) =>
    key === name && methods.every((method) =>
      Object.hasOwn(prototype, method)
    ) &&
    (path === "-" || isPrototypeOf(nodeMember(path!), prototype))
  );
}

function isEmitter(name: string, prototype: object): boolean {
  return rowsOf(EMITTERS).some(([module, ...names]) =>
    names.includes(name) &&
    isPrototypeOf(nodeMember(`${module}.${name}`), prototype)
  );
}

/** Whether a prototype is that of a class, or of an instance. */
function isPrototypeOf(value: unknown, prototype: object): boolean {
  return typeof value === "function"
    // Some are functions that wrap the constructor.
    ? ownValue(value, "prototype") === prototype
    : isObject(value) && Object.getPrototypeOf(value) === prototype;
}

/** Whether a prototype is that of what a function of Node's modules makes. */
function isMadeByNode(name: string, prototype: object): boolean {
  if (!Object.hasOwn(MADE_BY_NODE, name)) return false;
  const [module, fn, ...args] = MADE_BY_NODE[name]!;
  try {
    const make = nodeMember(`${module}.${fn}`) as (
      ...args: unknown[]
    ) => object;
    return Object.getPrototypeOf(make(...args)) === prototype;
  } catch {
    return false;
  }
}

/** Whether a prototype may be, or inherit from, that of `EventEmitter`. */
function looksLikeEmitter(prototype: object): boolean {
  return "rawListeners" in prototype && "prependListener" in prototype;
}

/**
 * The prototypes of `process`, among them that of `EventEmitter`, in every runtime
 * that has Node's modules.
 */
function processPrototypes(): object[] {
  const prototypes: object[] = [];
  let next = nodeProcess() as object | null | undefined;
  for (;;) {
    next = next && Object.getPrototypeOf(next) as object | null;
    if (!next || next === Object.prototype) return prototypes;
    prototypes.push(next);
  }
}

/**
 * Whether a prototype without a constructor is one that iterators share. A program
 * gives its own iterators a class, or makes them with a generator.
 */
function isIterators(prototype: object): boolean {
  const iterates = [Symbol.iterator, Symbol.asyncIterator];
  return iterates.some((method) => Object.hasOwn(prototype, method)) ||
    Object.hasOwn(prototype, "next") &&
      iterates.some((method) => method in prototype);
}

/** Whether a function is written in another language than JavaScript. */
function isNative(fn: unknown): boolean {
  return /\{\s*\[native code\]\s*\}$/.test(
    Function.prototype.toString.call(fn),
  );
}
