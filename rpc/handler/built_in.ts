/**
 * What belongs to the runtime, or to Node's built-in modules, and not to the
 * program. It is found by identity: Deno and Node write many of their classes in
 * JavaScript, so their source text looks like that of a program.
 *
 * Nothing is searched ahead of need: reading all globals would load what the
 * runtime loads lazily, which takes Deno 70 ms for `process` alone. A class is
 * looked up by its name where a class of that name would be, and as Node's only if
 * it looks like one of them.
 *
 * @module
 */
import {
  CLASSES,
  EMITTERS,
  GLOBAL_LIBRARIES,
  LIBRARIES,
  MADE_BY_NODE,
} from "./built_in_tables.ts";

/** Globals that Deno lists among the enumerable ones, like those of programs. */
const ENUMERABLE_CLASSES = ["Buffer", "EventSource"];

/** Global objects with functions of their own, besides `process`. */
const GLOBAL_OBJECTS = ["console", "crypto", "navigator", "performance"];

type Members = Readonly<Record<string, unknown>>;

interface Process {
  getBuiltinModule?: (name: string) => Members | undefined;
}

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
 * Whether an object is a part of the runtime that is no instance of a class, such
 * as `Math`, `console`, `process` and `Deno`.
 */
export function isBuiltInNamespace(value: object): boolean {
  if (
    value === globalThis ||
    GLOBAL_OBJECTS.some((name) => isMember(globalThis, name, value)) ||
    "nextTick" in value && value === nodeProcess()
  ) return true;
  const tag = ownValue(value, Symbol.toStringTag);
  if (typeof tag === "string" && tag !== "" && isAt(tag.split("."), value)) {
    return true;
  }
  return tag === "Module" && exportsBuiltInClass(value) ||
    isDenoMember(value) || isDenoServer(value) || isStandardStream(value);
}

/**
 * The modules of Node and the global objects whose functions an object has: it is
 * such an object, has its exports, or was spread from some. A program that lists a
 * few functions one by one means to offer them, so these do not count.
 */
export function librariesIn(owner: object): Members[] {
  const found: Members[] = [];
  const look = (members: unknown) => {
    if (isObject(members) && hasMost(owner, members)) found.push(members);
  };
  for (const [name, paths] of Object.entries(LIBRARIES)) {
    if (typeof ownValue(owner, name) !== "function") continue;
    for (const path of paths) look(nodeMember(path));
  }
  // The names are common, and Node warns when the module is loaded.
  const decode = ownValue(owner, "decode");
  if (typeof decode === "function" && decode.name === "ucs2decode") {
    look(nodeMember("punycode.ucs2"));
  }
  for (const [name, global] of Object.entries(GLOBAL_LIBRARIES)) {
    if (typeof ownValue(owner, name) !== "function") continue;
    look((globalThis as unknown as Members)[global]);
  }
  return found;
}

/**
 * Whether an object, in which there are these libraries, is one of them and nothing
 * else: the library, or the namespace of a module whose default export it is.
 */
export function isLibrary(owner: object, libraries: Members[]): boolean {
  const exported = ownValue(owner, "default");
  return libraries.some((members) => members === owner || members === exported);
}

/** Whether a value is what one of these libraries has under a name. */
export function isIn(
  libraries: Members[],
  name: string,
  value: unknown,
): boolean {
  return isObject(value) &&
    libraries.some((members) => isMember(members, name, value));
}

/** Whether a function is a whole module of Node, such as that of `node:test`. */
export function isLibraryFunction(fn: object): boolean {
  // Few functions have members.
  return Object.keys(fn).length > 0 && isLibrary(fn, librariesIn(fn));
}

/** Whether an object has more than half of the functions of another. */
function hasMost(owner: object, members: Members): boolean {
  let all = 0;
  let same = 0;
  for (const name of Object.keys(members)) {
    const value = ownValue(members, name);
    if (typeof value !== "function") continue;
    all++;
    if (ownValue(owner, name) === value) same++;
  }
  return 2 * same > all;
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
    isPrototypeOf(memberOf(owner as object, name), prototype);
  const { enumerable = true } =
    Object.getOwnPropertyDescriptor(globalThis, name) ?? {};
  // What a program puts there is enumerable.
  if (!enumerable || ENUMERABLE_CLASSES.includes(name)) return has(globalThis);
  const deno = denoNamespace();
  return deno !== undefined && (has(deno) || has(deno["errors"]));
}

/** Whether a prototype is one that {@linkcode CLASSES} leads to. */
function isListed(name: string, prototype: object): boolean {
  if (!Object.hasOwn(CLASSES, name)) return false;
  return CLASSES[name]!.split("|").some((place) => {
    const [path, ...methods] = place.split(" ");
    return methods.every((method) => Object.hasOwn(prototype, method)) &&
      (path === "-" || isPrototypeOf(nodeMember(path!), prototype));
  });
}

function isEmitter(name: string, prototype: object): boolean {
  return Object.entries(EMITTERS).some(([module, names]) =>
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

/** Whether the default export of a module is a class of Node, as in `node:stream`. */
function exportsBuiltInClass(namespace: object): boolean {
  const exported = ownValue(namespace, "default");
  if (typeof exported !== "function") return false;
  const prototype = ownValue(exported, "prototype");
  return isObject(prototype) && isBuiltInPrototype(prototype);
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

/** Deno's namespace, and objects in it such as `Deno.env`. */
function isDenoMember(value: object): boolean {
  const deno = denoNamespace();
  if (deno === undefined || value === deno) return value === deno;
  return Reflect.ownKeys(deno).some((key) => ownValue(deno, key) === value);
}

/** What `Deno.serve()` returns is of no class. */
function isDenoServer(value: object): boolean {
  return denoNamespace() !== undefined && Object.hasOwn(value, "addr") &&
    ownValue(value, "finished") instanceof Promise &&
    ["shutdown", "ref", "unref"].every((name) =>
      typeof ownValue(value, name) === "function"
    );
}

/** Whether a value is a stream of the process, which has functions of its own. */
function isStandardStream(value: object): boolean {
  if (!("_readableState" in value) && !("_writableState" in value)) {
    return false;
  }
  const process = nodeProcess();
  return process !== undefined &&
    ["stdin", "stdout", "stderr"].some((name) =>
      isMember(process, name, value)
    );
}

function denoNamespace(): Members | undefined {
  return (globalThis as { Deno?: Members }).Deno;
}

/** Whether a value is found by these names, one in the other, from the globals. */
function isAt(names: readonly string[], value: unknown): boolean {
  let found: unknown = globalThis;
  try {
    for (const name of names) found = (found as Members | undefined)?.[name];
  } catch {
    // Some members throw without a permission or a flag.
    return false;
  }
  return found === value;
}

function isMember(owner: object, name: string, value: unknown): boolean {
  return memberOf(owner, name) === value;
}

function memberOf(owner: object, name: string): unknown {
  try {
    return (owner as Members)[name];
  } catch {
    // Some members throw without a permission or a flag.
    return undefined;
  }
}

function nodeProcess(): Process | undefined {
  const { process } = globalThis as { process?: unknown };
  return typeof process === "object" && process !== null ? process : undefined;
}

/**
 * A module of Node, or what it has under a name, which may be a path:
 * `fs/promises`, `readline.promises.Readline`.
 */
function nodeMember(path: string): unknown {
  const [module, ...names] = path.split(".");
  try {
    // Not all runtimes have it, and not all of them have all modules.
    let found: unknown = nodeProcess()?.getBuiltinModule?.(`node:${module}`);
    for (const name of names) found = (found as Members | undefined)?.[name];
    return found;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null ||
    typeof value === "function";
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

/** The value of an own property, without calling getters. */
function ownValue(object: object, name: string | symbol): unknown {
  return Object.getOwnPropertyDescriptor(object, name)?.value;
}
