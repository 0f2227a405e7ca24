import {
  denoNamespace,
  isMember,
  isObject,
  memberOf,
  type Members,
  nodeMember,
  nodeProcess,
  ownValue,
} from "./runtime_members.ts";
import {
  GLOBAL_LIBRARIES,
  LIBRARIES,
  OTHER_MODULES,
  rowsOf,
} from "./tables.ts";

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
  for (const [name, ...paths] of rowsOf(LIBRARIES)) {
    if (typeof ownValue(owner, name!) !== "function") continue;
    for (const path of paths) look(nodeMember(path));
  }
  for (const name of newerModules()) look(nodeMember(name));
  // The names are common, and Node warns when the module is loaded.
  const decode = ownValue(owner, "decode");
  if (typeof decode === "function" && decode.name === "ucs2decode") {
    look(nodeMember("punycode.ucs2"));
  }
  for (const [name, global] of rowsOf(GLOBAL_LIBRARIES)) {
    if (typeof ownValue(owner, name!) !== "function") continue;
    look(memberOf(globalThis, global!));
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

/**
 * The modules of the runtime that no table knows, because they are newer. Node says
 * which of its modules are loaded, and no object has functions of the others. Deno's
 * list is left alone: it takes Deno long to make, and its tests compare the tables.
 */
function newerModules(): string[] {
  // Deno is asked for first: it loads `process` when that is read.
  if (denoNamespace() !== undefined || nodeProcess() === undefined) return [];
  const all = nodeMember("module.builtinModules");
  if (!Array.isArray(all)) return [];
  const known = new Set(rowsOf(OTHER_MODULES).flat());
  for (const [, ...paths] of rowsOf(LIBRARIES)) {
    for (const path of paths) known.add(path.split(".")[0]!);
  }
  const loaded = nodeProcess()!.moduleLoadList;
  return all.map((name: string) => name.replace(/^node:/, "")).filter((name) =>
    !known.has(name) && (loaded?.includes(`NativeModule ${name}`) ?? true)
  );
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
