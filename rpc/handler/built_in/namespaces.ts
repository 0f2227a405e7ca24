import { isBuiltInPrototype } from "./classes.ts";
import {
  denoNamespace,
  isMember,
  isObject,
  memberOf,
  nodeProcess,
  ownValue,
} from "./runtime_members.ts";

/** Global objects with functions of their own, besides `process`. */
const GLOBAL_OBJECTS = ["console", "crypto", "navigator", "performance"];

/**
 * Whether an object is a part of the runtime that is not an instance of a class, such
 * as `Math`, `console`, `process` and `Deno`.
 */
export function isBuiltInNamespace(value: object): boolean {
  if (
    value === globalThis ||
    GLOBAL_OBJECTS.some((name) => isMember(globalThis, name, value)) ||
    "nextTick" in value && value === nodeProcess()
  ) return true;
  const tag = ownValue(value, Symbol.toStringTag);
  if (
    typeof tag === "string" &&
    tag.split(".").reduce(memberOf, globalThis) === value
  ) return true;
  return tag === "Module" && exportsBuiltInClass(value) ||
    isDenoMember(value) || isDenoServer(value) || isStandardStream(value);
}

/** Whether the default export of a module is a class of Node, as in `node:stream`. */
function exportsBuiltInClass(namespace: object): boolean {
  const exported = ownValue(namespace, "default");
  if (typeof exported !== "function") return false;
  const prototype = ownValue(exported, "prototype");
  return isObject(prototype) && isBuiltInPrototype(prototype);
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
