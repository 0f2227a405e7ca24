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

/** Where Node's event emitters are, among them its streams, by module. */
const NODE_EMITTERS: Readonly<Record<string, readonly string[]>> = {
  events: ["EventEmitter", "EventEmitterAsyncResource"],
  stream: [
    "Stream",
    "Readable",
    "Writable",
    "Duplex",
    "Transform",
    "PassThrough",
  ],
  child_process: ["ChildProcess"],
  cluster: ["Worker"],
  crypto: ["Hash", "Hmac", "Sign", "Verify"],
  dgram: ["Socket"],
  fs: ["ReadStream", "WriteStream"],
  http: [
    "Agent",
    "ClientRequest",
    "IncomingMessage",
    "OutgoingMessage",
    "Server",
    "ServerResponse",
  ],
  https: ["Agent", "Server"],
  http2: ["Http2ServerRequest", "Http2ServerResponse"],
  inspector: ["Session"],
  net: ["Server", "Socket"],
  readline: ["Interface"],
  "readline/promises": ["Interface"],
  repl: ["REPLServer"],
  tls: ["Server", "TLSSocket"],
  tty: ["ReadStream", "WriteStream"],
  worker_threads: ["Worker"],
};

/** Where Node's other classes are that programs extend, by module. */
const NODE_CLASSES: Readonly<Record<string, readonly string[]>> = {
  async_hooks: ["AsyncLocalStorage", "AsyncResource"],
  crypto: ["KeyObject", "X509Certificate"],
  fs: ["Dirent"],
  net: ["BlockList", "SocketAddress"],
  perf_hooks: ["PerformanceObserver"],
  string_decoder: ["StringDecoder"],
  util: ["MIMEParams", "MIMEType"],
};

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
  if (typeof built !== "function") return isIterators(prototype);
  if (isNative(built)) return true;
  const name: unknown = ownValue(built, "name");
  if (typeof name !== "string") return false;
  return isGlobalClass(name, built) ||
    isNodeClass(name, built, NODE_CLASSES) ||
    looksLikeEmitter(prototype) &&
      (processPrototypes().includes(prototype) ||
        isNodeClass(name, built, NODE_EMITTERS));
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
  if (
    typeof tag === "string" && tag !== "" && isMember(globalThis, tag, value)
  ) {
    return true;
  }
  return isDenoMember(value);
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

function isGlobalClass(name: string, built: unknown): boolean {
  const { enumerable = true } =
    Object.getOwnPropertyDescriptor(globalThis, name) ?? {};
  // What a program puts there is enumerable.
  if (!enumerable || ENUMERABLE_CLASSES.includes(name)) {
    return isMember(globalThis, name, built);
  }
  const deno = denoNamespace();
  return deno !== undefined && (isMember(deno, name, built) ||
    isMember(deno["errors"] as object, name, built));
}

function isNodeClass(
  name: string,
  built: unknown,
  classes: typeof NODE_CLASSES,
): boolean {
  return Object.entries(classes).some(([module, names]) =>
    names.includes(name) && nodeModule(module)?.[name] === built
  );
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
  const members = Object.values(Object.getOwnPropertyDescriptors(deno));
  return members.some((member) => member.value === value);
}

function denoNamespace(): Members | undefined {
  return (globalThis as { Deno?: Members }).Deno;
}

function isMember(owner: object, name: string, value: unknown): boolean {
  try {
    return (owner as Members)[name] === value;
  } catch {
    // Some members throw without a permission or a flag.
    return false;
  }
}

function nodeProcess(): Process | undefined {
  const { process } = globalThis as { process?: unknown };
  return typeof process === "object" && process !== null ? process : undefined;
}

function nodeModule(name: string): Members | undefined {
  try {
    // Not all runtimes have it, and not all of them have all modules.
    return nodeProcess()?.getBuiltinModule?.(`node:${name}`);
  } catch {
    return undefined;
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

/** The value of an own property, without calling getters. */
function ownValue(object: object, name: string | symbol): unknown {
  return Object.getOwnPropertyDescriptor(object, name)?.value;
}
