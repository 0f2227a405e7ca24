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
/** Globals that Deno lists among the enumerable ones, like those of programs. */
const ENUMERABLE_CLASSES = ["Buffer", "EventSource"];

/** Modules of Bun that are none of Node's. */
const BUN_MODULE = /^(?:bun|undici$|ws$)/;

/** Global objects with functions of their own, besides `process`. */
const GLOBAL_OBJECTS = ["console", "crypto", "navigator", "performance"];

type Members = Readonly<Record<string, unknown>>;

interface Process {
  getBuiltinModule?: (name: string) => Members | undefined;
  /** What Node has loaded. */
  moduleLoadList?: readonly string[];
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
  for (const name of newerModules()) look(nodeMember(name));
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
  const known = new Set(OTHER_MODULES);
  for (const paths of Object.values(LIBRARIES)) {
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
    const name = BUN_MODULE.test(module!) ? module! : `node:${module}`;
    let found: unknown = nodeProcess()?.getBuiltinModule?.(name);
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

// Where the runtime and Node's modules keep what they have written: see
// `built_in.ts`. Names that no runtime knows do no harm.

/** Where Node's event emitters are, among them its streams, by module. */
export const EMITTERS: Readonly<Record<string, readonly string[]>> = {
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

/**
 * The other classes of the runtime, by their own name: where one is, in which module
 * and under which name, and methods that those of programs seldom have, because the
 * search loads the module. "-" stands for classes that nothing leads to: they are
 * known by name and methods.
 */
export const CLASSES: Readonly<Record<string, string>> = {
  ActiveChannel: "- bindStore runStores",
  Assert: "assert.Assert deepStrictEqual",
  AssertionError: "assert.AssertionError",
  AsyncLocalStorage: "async_hooks.AsyncLocalStorage",
  AsyncResource: "async_hooks.AsyncResource",
  BigIntStats: "- _checkModeProperty",
  BlockList: "net.BlockList",
  BroadcastChannel: "worker_threads.BroadcastChannel unref",
  CallTracker: "assert.CallTracker getCalls",
  Certificate: "crypto.Certificate verifySpkac",
  Channel: "diagnostics_channel.Channel bindStore runStores",
  ClientHttp2Session: "- request",
  Conn: "- read write closeWrite unref",
  Console: "console.Console timeLog",
  DatagramConn: "- joinMulticastV4",
  DefaultDeserializer: "v8.DefaultDeserializer _readHostObject",
  DefaultSerializer: "v8.DefaultSerializer _writeHostObject",
  Deserializer: "v8.Deserializer transferArrayBuffer",
  DiffieHellman: "crypto.DiffieHellman computeSecret",
  DiffieHellmanGroup: "crypto.DiffieHellmanGroup computeSecret",
  DiffieHellmanImpl: "- computeSecret",
  Dir: "fs.Dir readSync closeSync",
  Dirent: "fs.Dirent",
  Domain: "domain.Domain intercept",
  ECDH: "crypto.ECDH computeSecret",
  ELDHistogram: "- enable disable",
  EventLoopDelayHistogram: "- enable disable",
  FSWatcher: "- close ref unref",
  FileHandle: "- readFile writeFile truncate",
  FreeList: "- alloc free",
  FsWatcher: "- next return ref unref",
  GCProfiler: "v8.GCProfiler start stop",
  HTTPParser: "_http_common.HTTPParser unconsume",
  Http2Server: "- updateSettings",
  Http2SecureServer: "- updateSettings",
  Http2Session: "- setLocalWindowSize",
  Http2Stream: "- sendTrailers",
  Immediate: "- hasRef ref unref",
  Interface: "- setPrompt getCursorPos",
  IntervalHistogram: "- enable disable",
  JSStreamSocket: "- doShutdown",
  KeyObject: "crypto.KeyObject",
  LcovReporter: "- _transform",
  Listener: "- accept next return close ref unref",
  MIMEParams: "util.MIMEParams",
  MIMEType: "util.MIMEType",
  MockTimers: "test.mock.timers runAll",
  MockTracker: "test.mock getter setter",
  Module: "module.Module _compile|vm.Module link",
  NodeEnvironmentFlagsSet: "process.allowedNodeEnvironmentFlags",
  NodeEventTarget: "- listenerCount setMaxListeners",
  NodeWorker: "worker_threads.Worker",
  PerformanceNodeTiming: "perf_hooks.performance.nodeTiming",
  PerformanceObserver: "perf_hooks.PerformanceObserver",
  PrivateKeyObject: "- export",
  PublicKeyObject: "- export",
  ReadableStreamWithCollectors: "- arrayBuffer",
  Readline: "readline/promises.Readline clearScreenDown",
  RecordableHistogram: "- recordDelta",
  Resolver:
    "dns.Resolver resolveMx|dns/promises.Resolver resolveMx|- getServers setLocalAddress",
  ResolverBase: "- getServers setLocalAddress",
  Scheduler: "timers/promises.scheduler wait yield",
  SecretKeyObject: "- export",
  SecureContext: "_tls_common.SecureContext",
  Serializer: "v8.Serializer transferArrayBuffer",
  ServerHttp2Session: "- altsvc",
  Session: "inspector/promises.Session post",
  SocketAddress: "net.SocketAddress",
  SourceMap: "module.SourceMap findEntry",
  SourceTextModule: "vm.SourceTextModule",
  SpecReporter: "- _transform",
  StatWatcher: "- stop ref unref",
  Stats: "fs.Stats _checkModeProperty",
  StatsBase: "- isBlockDevice",
  StringDecoder: "string_decoder.StringDecoder",
  SyncWriteStream: "- destroySoon",
  SyntheticModule: "vm.SyntheticModule",
  TcpConn: "- setNoDelay setKeepAlive",
  Timeout: "- hasRef ref unref refresh",
  TlsConn: "- handshake",
  TracingChannel: "- traceSync tracePromise",
  Url: "url.Url resolveObject",
  Utf8Stream: "fs.Utf8Stream reopen",
  WASI: "wasi.WASI getImportObject",
  WritableState: "stream.Writable.WritableState getBuffer",
  ZlibBase: "- _processChunk",
};

/**
 * Classes of which a module only makes instances, or exports a wrapper: how it makes
 * one, by the name of the class.
 */
export const MADE_BY_NODE: Readonly<
  Record<string, readonly [module: string, fn: string, ...args: unknown[]]>
> = {
  AsyncHook: ["async_hooks", "createHook", {}],
  ECDHImpl: ["crypto", "createECDH", "prime256v1"],
  Hash: ["crypto", "createHash", "sha256"],
  HmacImpl: ["crypto", "createHmac", "sha256", ""],
  Script: ["vm", "createScript", "0"],
  Tracing: ["trace_events", "createTracing", { categories: ["v8"] }],
  SignImpl: ["crypto", "createSign", "sha256"],
  VerifyImpl: ["crypto", "createVerify", "sha256"],
};

/**
 * Where objects with functions are, in which module and under which name: by a
 * function of each whose name is seldom that of another.
 */
export const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  DatabaseSync: ["sqlite"],
  REPLServer: ["repl"],
  ReadableStreamTee: ["stream/web"],
  TLSSocket: ["tls", "_tls_wrap"],
  _checkInvalidHeaderChar: ["_http_common"],
  addAbortSignal: ["stream"],
  addDeserializeCallback: ["v8.startupSnapshot"],
  arrayBuffer: ["stream/consumers"],
  basename: ["path", "path/posix", "path/win32"],
  beforeEach: ["test"],
  buildConnector: ["undici"],
  callback: ["bun:ffi.native"],
  clearLine: ["readline"],
  clearScreenDown: ["readline"],
  copyFile: ["fs", "fs/promises"],
  countReset: ["inspector.console"],
  cpus: ["os"],
  crc32: ["zlib"],
  createDomain: ["domain"],
  createHash: ["crypto"],
  createHistogram: ["perf_hooks"],
  createHook: ["async_hooks"],
  createInterface: ["readline/promises", "readline.promises"],
  createRequire: ["module"],
  createSecureContext: ["tls", "_tls_common"],
  createServer: ["https", "_tls_wrap"],
  createSocket: ["dgram"],
  createTracing: ["trace_events"],
  createWebSocketStream: ["ws"],
  deepStrictEqual: ["assert", "assert/strict"],
  dlopen: ["bun:ffi"],
  drainMicrotasks: ["bun:jsc"],
  eventLoopUtilization: ["perf_hooks"],
  execFile: ["child_process"],
  fileURLToPath: ["url"],
  getEventListeners: ["events"],
  getHeapStatistics: ["v8"],
  getPackedSettings: ["http2"],
  hasSubscribers: ["diagnostics_channel"],
  httpServerPreClose: ["_http_server"],
  isIPv6: ["net"],
  isRegExp: ["util/types"],
  isSea: ["sea"],
  isUtf8: ["buffer"],
  isValidSyntax: ["repl"],
  isatty: ["tty"],
  junit: ["test/reporters"],
  lcov: ["test/reporters"],
  loadingFailed: ["inspector.Network"],
  lookupService: ["dns", "dns/promises"],
  nextTick: ["process"],
  onSettled: ["v8.promiseHooks"],
  onTestFinished: ["bun:test"],
  parseUniqueHeadersOption: ["_http_outgoing"],
  pipeline: ["stream/promises"],
  promisify: ["util"],
  readStart: ["_http_incoming"],
  receiveMessageOnPort: ["worker_threads"],
  registerBeforeExit: ["process.finalization"],
  restoreAll: ["test.mock"],
  runAll: ["test.mock.timers"],
  runInThisContext: ["vm"],
  setGlobalAgent: ["_http_agent"],
  setInterval: ["timers", "timers/promises"],
  setupPrimary: ["cluster"],
  shouldUseEnvProxy: ["_http_agent"],
  toUnicode: ["punycode"],
  translatePeerCertificate: ["_tls_common"],
  u8: ["bun:ffi.read"],
  unescape: ["querystring"],
  validateHeaderName: ["http", "_http_outgoing"],
  waitForDebugger: ["inspector", "inspector/promises"],
  writeReport: ["process.report"],
};

/**
 * The other modules with objects that are named above, or with nothing to offer.
 * A module that the runtime lists and that is in neither table is a newer one.
 */
export const OTHER_MODULES: readonly string[] = [
  "_http_client",
  "_stream_duplex",
  "_stream_passthrough",
  "_stream_readable",
  "_stream_transform",
  "_stream_wrap",
  "_stream_writable",
  "bun",
  "bun:sqlite",
  "console",
  "constants",
  "string_decoder",
  "sys",
  "wasi",
];

/** The same for global objects, by the name of the object. */
export const GLOBAL_LIBRARIES: Readonly<Record<string, string>> = {
  countReset: "console",
  allocUnsafe: "Bun",
  readTextFileSync: "Deno",
};
