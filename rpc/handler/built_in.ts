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
  crypto: ["Cipheriv", "Decipheriv", "Hash", "Hmac", "Sign", "Verify"],
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
  zlib: [
    "BrotliCompress",
    "BrotliDecompress",
    "Deflate",
    "DeflateRaw",
    "Gunzip",
    "Gzip",
    "Inflate",
    "InflateRaw",
    "Unzip",
    "ZstdCompress",
    "ZstdDecompress",
  ],
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

/**
 * Classes of which a module only makes instances, or exports a wrapper: how it makes
 * one, by the name of the class.
 */
const MADE_BY_NODE: Readonly<
  Record<string, readonly [module: string, fn: string, ...args: string[]]>
> = {
  ECDHImpl: ["crypto", "createECDH", "prime256v1"],
  Hash: ["crypto", "createHash", "sha256"],
  HmacImpl: ["crypto", "createHmac", "sha256", ""],
  Script: ["vm", "createScript", "0"],
  SignImpl: ["crypto", "createSign", "sha256"],
  VerifyImpl: ["crypto", "createVerify", "sha256"],
};

/** A function of each of Node's modules whose name is seldom that of another. */
const NODE_FUNCTIONS: Readonly<Record<string, readonly string[]>> = {
  addAbortSignal: ["stream"],
  arrayBuffer: ["stream/consumers"],
  basename: ["path", "path/posix", "path/win32"],
  clearLine: ["readline"],
  copyFile: ["fs", "fs/promises"],
  crc32: ["zlib"],
  cpus: ["os"],
  createHash: ["crypto"],
  createHook: ["async_hooks"],
  createInterface: ["readline/promises"],
  createRequire: ["module"],
  createSecureContext: ["tls"],
  createServer: ["https"],
  createSocket: ["dgram"],
  createTracing: ["trace_events"],
  deepStrictEqual: ["assert"],
  eventLoopUtilization: ["perf_hooks"],
  execFile: ["child_process"],
  fileURLToPath: ["url"],
  getEventListeners: ["events"],
  getHeapStatistics: ["v8"],
  getPackedSettings: ["http2"],
  hasSubscribers: ["diagnostics_channel"],
  isIPv6: ["net"],
  isRegExp: ["util/types"],
  isUtf8: ["buffer"],
  isatty: ["tty"],
  lookupService: ["dns", "dns/promises"],
  nextTick: ["process"],
  pipeline: ["stream/promises"],
  promisify: ["util"],
  receiveMessageOnPort: ["worker_threads"],
  runInThisContext: ["vm"],
  setInterval: ["timers", "timers/promises"],
  setupPrimary: ["cluster"],
  toUnicode: ["punycode"],
  unescape: ["querystring"],
  validateHeaderName: ["http"],
  waitForDebugger: ["inspector"],
};

/** The same for global objects whose functions can be enumerated. */
const GLOBAL_FUNCTIONS: Readonly<Record<string, string>> = {
  countReset: "console",
  readTextFileSync: "Deno",
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
    isNodeClass(name, built, NODE_CLASSES) || isMadeByNode(name, prototype) ||
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
  if (typeof tag === "string" && tag !== "" && isAt(tag.split("."), value)) {
    return true;
  }
  return isDenoMember(value);
}

/**
 * The modules of Node and the global objects whose functions an object has: it is
 * such an object, has its exports, or was spread from some. A program that lists a
 * few functions one by one means to offer them, so these do not count.
 */
export function librariesIn(owner: object): Members[] {
  const found: Members[] = [];
  for (const [name, modules] of Object.entries(NODE_FUNCTIONS)) {
    if (typeof ownValue(owner, name) !== "function") continue;
    for (const module of modules) {
      const members = nodeModule(module);
      if (members !== undefined && hasMost(owner, members)) found.push(members);
    }
  }
  for (const [name, global] of Object.entries(GLOBAL_FUNCTIONS)) {
    if (typeof ownValue(owner, name) !== "function") continue;
    const members = (globalThis as unknown as Members)[global];
    if (members !== undefined && hasMost(owner, members as Members)) {
      found.push(members as Members);
    }
  }
  return found;
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

/** Whether a prototype is that of what a function of Node's modules makes. */
function isMadeByNode(name: string, prototype: object): boolean {
  if (!Object.hasOwn(MADE_BY_NODE, name)) return false;
  const [module, fn, ...args] = MADE_BY_NODE[name]!;
  try {
    const make = nodeModule(module)?.[fn] as (...args: string[]) => object;
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
  const members = Object.values(Object.getOwnPropertyDescriptors(deno));
  return members.some((member) => member.value === value);
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
