// What JavaScript lets a program pass, and TypeScript does not: every function that
// the package exports refuses it at once, before anything is opened or sent, with an
// error that says what was wrong, what was expected and what came. Numbers out of
// range and signals are in options_test.ts.

import {
  callback,
  dial,
  dialCommand,
  dialSession,
  forward,
  handlerFrom,
  json,
  listen,
  listenSession,
  memoryPair,
  memoryPool,
  memoryTransports,
  Peer,
  qmux,
  Router,
  TalkError,
  withCall,
  withMiddleware,
  withStream,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import {
  clientOf,
  contract,
  describe,
  implement,
  makeError,
  matchError,
  metaOf,
  method,
  objectOf,
  optional,
  streamOf,
} from "@qtalk/qtalk/contract";
import { fanOut } from "@qtalk/qtalk/fan-out";
import { intercept, rateLimit, retry } from "@qtalk/qtalk/middleware";
import {
  messagePortTransport,
  proxy,
  resumeStore,
  webSocketTransport,
  windowTransport,
} from "@qtalk/qtalk/mux";
import { observe } from "@qtalk/qtalk/observe";
import { dialPool, workerPool } from "@qtalk/qtalk/pool";
import { quicSession } from "@qtalk/qtalk/quic";
import { describeHandler, withReflection } from "@qtalk/qtalk/reflection";
import { rendezvousService } from "@qtalk/qtalk/rendezvous";
import { closeOnSignals } from "@qtalk/qtalk/signals";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert, assertEquals, assertMatch } from "@std/assert";

/** Values that JavaScript passes as well as any other. */
const VALUES: Readonly<Record<string, unknown>> = {
  undefined: undefined,
  null: null,
  number: 5,
  NaN,
  text: "text",
  boolean: true,
  symbol: Symbol("s"),
  bigint: 5n,
  object: {},
  array: [],
  function: () => {},
};

type Kind = keyof typeof VALUES;

/** Options must be objects; without them, all defaults apply. */
const OBJECT: readonly Kind[] = ["undefined", "object"];
const FUNCTION: readonly Kind[] = ["undefined", "function"];
const ARRAY: readonly Kind[] = ["undefined", "array"];
/** None of the values above will do. */
const NONE: readonly Kind[] = [];

/** Uses one value as an argument or as an option. */
type Use = (value: never) => unknown;

/** By what takes the value: how it is used, and the values that are right. */
type Row = Readonly<Record<string, readonly [Use, readonly Kind[]]>>;

const ADDRESS = "tcp://127.0.0.1:0";
const handler = () => {};
const api = contract({ name: "x", methods: { m: method() } });
const functions = { m: () => null };

/** A peer that is closed when it was used. */
async function withPeer(use: (peer: Peer) => unknown): Promise<unknown> {
  const [peer] = memoryPair({}, { handler });
  try {
    return await use(peer);
  } finally {
    await peer.close();
  }
}

/**
 * Makes a pair and closes it. The timers of sessions that are left open run on, and
 * count as a leak of the test in which they are set again.
 */
async function paired(...options: Parameters<typeof memoryPair>) {
  for (const peer of memoryPair(...options)) await peer.close();
}

/** The options of a peer. */
function peerOptions(use: (options: object) => unknown): Row {
  return {
    codec: [(codec) => use({ codec }), ["undefined"]],
    codecs: [(codecs) => use({ codecs }), ARRAY],
    handler: [(handler) => use({ handler }), FUNCTION],
    onError: [(onError) => use({ onError }), FUNCTION],
    observer: [(observer) => use({ observer }), ["undefined"]],
  };
}

/** Those of a session, in the option of that name. */
function sessionOptions(use: (options: object) => unknown): Row {
  return {
    session: [(session) => use({ session }), OBJECT],
    "session.keepAlive": [
      (keepAlive) => use({ session: { keepAlive } }),
      ["undefined", "boolean", "object"],
    ],
    "session.memoryPool": [
      (memoryPool) => use({ session: { memoryPool } }),
      ["undefined"],
    ],
  };
}

/** Uses the address of a listener. */
async function withListener(
  use: (address: string) => Promise<AsyncDisposable>,
): Promise<void> {
  await using listener = await listen(ADDRESS, { resume: {} });
  await closed(use(listener.addr));
}

/** Dials, and closes what it gets. */
const dialed = (options: object | undefined) =>
  withListener((address) => dial(address, options));

/** Makes a pool of one address, and closes it. */
const pooled = (options: object | undefined) =>
  withListener((address) => dialPool([address], options));

/** Starts a program that does not exist, which it is right to try. */
function started(options: object | undefined): void {
  try {
    dialCommand("no-such-program", options);
  } catch (error) {
    if (!(error instanceof TalkError)) throw error;
  }
}

/** The functions of a module that are its own, and its classes that are no errors. */
const TABLE: Readonly<Record<string, Row>> = {
  Peer: {
    session: [(session) => new Peer(session), NONE],
    options: [
      (options) => {
        const [session, other] = memoryTransports().map((end) => qmux(end));
        try {
          return new Peer(session!, options);
        } finally {
          void session!.close();
          void other!.close();
        }
      },
      OBJECT,
    ],
    "call(): selector": [
      (value) => withPeer((peer) => peer.call(value)),
      ["text"],
    ],
    "call(): options": [
      (options) => withPeer((peer) => peer.call("x", null, options)),
      OBJECT,
    ],
    "request(): options": [
      (options) => withPeer((peer) => peer.request("x", null, options)),
      OBJECT,
    ],
    "remote(): options": [
      (options) => withPeer((peer) => void peer.remote(options)),
      OBJECT,
    ],
    "handle(): pattern": [
      (pattern) => withPeer((peer) => peer.handle(pattern, handler)),
      ["text"],
    ],
    "handle(): handler": [
      (handler) => withPeer((peer) => peer.handle("x", handler)),
      ["function"],
    ],
    "use(): middleware": [
      (middleware) => withPeer((peer) => peer.use(middleware)),
      ["function"],
    ],
    "close(): options": [
      (options) => withPeer((peer) => peer.close(options)),
      OBJECT,
    ],
  },
  Router: {
    "handle(): pattern": [
      (pattern) => new Router().handle(pattern, handler),
      ["text"],
    ],
    "handle(): handler": [
      (handler) => new Router().handle("x", handler),
      ["function"],
    ],
    "use(): middleware": [
      (middleware) => new Router().use(middleware),
      ["function"],
    ],
  },
  RpcResponse: {},
  CommandPeer: {},
  bytes: {},
  callback: { fn: [callback, ["function"]] },
  cbor: { options: [cbor, OBJECT] },
  clientOf: {
    contract: [
      (contract) => withPeer((peer) => void clientOf(contract, peer)),
      NONE,
    ],
    caller: [(caller) => clientOf(api, caller), NONE],
    options: [
      (options) => withPeer((peer) => void clientOf(api, peer, options)),
      OBJECT,
    ],
    prefix: [
      (prefix) => withPeer((peer) => void clientOf(api, peer, { prefix })),
      ["undefined", "text"],
    ],
  },
  closeOnSignals: {
    closable: [(closable) => closeOnSignals(closable), ["array"]],
    "one of them": [(closable) => closeOnSignals([closable]), NONE],
    options: [
      (options) => closeOnSignals([], options)[Symbol.dispose](),
      OBJECT,
    ],
    onSignal: [
      (onSignal) => closeOnSignals([], { onSignal })[Symbol.dispose](),
      FUNCTION,
    ],
    signals: [
      (signals) => closeOnSignals([], { signals })[Symbol.dispose](),
      ARRAY,
    ],
  },
  contract: {
    init: [contract, NONE],
    methods: [(methods) => contract({ name: "x", methods }), ["object"]],
    name: [(name) => contract({ name, methods: {} }), ["text"]],
  },
  // These ask about anything, and have no answer for what they do not know.
  contractOf: {},
  isNotBegun: {},
  describe: {
    contract: [describe, NONE],
    options: [(options) => describe(api, options), OBJECT],
    toJsonSchema: [
      (toJsonSchema) => describe(api, { toJsonSchema }),
      FUNCTION,
    ],
  },
  describeHandler: { handler: [describeHandler, ["function"]] },
  dial: {
    address: [dial, NONE],
    options: [dialed, OBJECT],
    ...peerOptions(dialed),
    ...sessionOptions(dialed),
    reconnect: [(reconnect) => dialed({ reconnect }), OBJECT],
    onConnect: [(onConnect) => dialed({ reconnect: { onConnect } }), FUNCTION],
    onState: [(onState) => dialed({ reconnect: { onState } }), FUNCTION],
    resume: [(resume) => dialed({ resume }), OBJECT],
    "resume.onState": [(onState) => dialed({ resume: { onState } }), FUNCTION],
    "resume, beside reconnect": [
      (resume) => dialed({ reconnect: {}, resume }),
      OBJECT,
    ],
    "resume.onState, beside reconnect": [
      (onState) => dialed({ reconnect: {}, resume: { onState } }),
      FUNCTION,
    ],
  },
  dialCommand: {
    command: [dialCommand, NONE],
    options: [started, OBJECT],
    ...peerOptions(started),
    ...sessionOptions(started),
    args: [(args) => started({ args }), ARRAY],
  },
  dialPool: {
    // The list of a function may be right the next time, so it is asked again.
    addresses: [(list) => dialPool(list, { readyTimeout: 0 }), NONE],
    options: [pooled, OBJECT],
    ...peerOptions(pooled),
    ...sessionOptions(pooled),
    onConnect: [(onConnect) => pooled({ onConnect }), FUNCTION],
    onState: [(onState) => pooled({ onState }), FUNCTION],
    balance: [(balance) => pooled({ balance }), FUNCTION],
  },
  dialSession: {
    address: [dialSession, NONE],
    options: [
      (options) =>
        withListener(async (address) => {
          const session = await dialSession(address, options);
          return { [Symbol.asyncDispose]: () => session.close() };
        }),
      OBJECT,
    ],
  },
  fanOut: {
    source: [(source) => fanOut(source), FUNCTION],
    options: [(options) => fanOut(undefined, options), OBJECT],
    size: [(size) => fanOut(undefined, { size }), FUNCTION],
    whenFull: [(whenFull) => fanOut(undefined, { whenFull }), ["undefined"]],
    "subscribe(): options": [
      (options) => fanOut().subscribe(options).cancel(),
      OBJECT,
    ],
  },
  forward: {
    target: [forward, NONE],
    options: [
      (options) => withPeer((peer) => forward(peer, options)),
      OBJECT,
    ],
  },
  handlerFrom: {
    target: [handlerFrom, ["function"]],
    options: [(options) => handlerFrom(functions, options), OBJECT],
    methods: [(methods) => handlerFrom(functions, { methods }), ARRAY],
  },
  implement: {
    contract: [(contract) => implement(contract, {}), NONE],
    functions: [(functions) => implement(api, functions), NONE],
    options: [(options) => implement(api, functions, options), OBJECT],
    toJsonSchema: [
      (toJsonSchema) => implement(api, functions, { toJsonSchema }),
      FUNCTION,
    ],
  },
  intercept: {
    caller: [(caller) => intercept(caller), NONE],
    interceptor: [
      (interceptor) => withPeer((peer) => void intercept(peer, interceptor)),
      ["function"],
    ],
    "call(): options": [
      (options) =>
        withPeer((peer) =>
          intercept(
            peer,
            ({ options }, next) => next({ options: { ...options } }),
          ).call("x", null, options)
        ),
      OBJECT,
    ],
  },
  json: { options: [json, OBJECT] },
  listen: {
    address: [listen, NONE],
    options: [(options) => closed(listen(ADDRESS, options)), OBJECT],
    ...peerOptions((options) => closed(listen(ADDRESS, options))),
    ...sessionOptions((options) => closed(listen(ADDRESS, options))),
    accept: [(accept) => closed(listen(ADDRESS, { accept })), FUNCTION],
    onPeer: [(onPeer) => closed(listen(ADDRESS, { onPeer })), FUNCTION],
    resume: [(resume) => closed(listen(ADDRESS, { resume })), OBJECT],
    whenFull: [
      (whenFull) => closed(listen(ADDRESS, { whenFull })),
      ["undefined"],
    ],
  },
  listenSession: {
    address: [listenSession, NONE],
    options: [(options) => closed(listenSession(ADDRESS, options)), OBJECT],
    accept: [(accept) => closed(listenSession(ADDRESS, { accept })), FUNCTION],
    onError: [
      (onError) => closed(listenSession(ADDRESS, { onError })),
      FUNCTION,
    ],
  },
  makeError: {
    method: [
      (method) => makeError(method, "x", { code: "x" } as never),
      NONE,
    ],
    init: [(init) => makeError(api.methods.m, "x", init), NONE],
  },
  matchError: { method: [(method) => matchError(method, "x"), NONE] },
  memoryPair: {
    a: [(options) => paired(options), OBJECT],
    b: [(options) => paired({}, options), OBJECT],
    ...peerOptions((options) => paired(options)),
    ...sessionOptions((options) => paired(options)),
  },
  memoryPool: { options: [memoryPool, OBJECT] },
  workerPool: {
    options: [workerPool, OBJECT],
    balance: [(balance) => workerPool({ balance }), FUNCTION],
  },
  memoryTransports: {},
  messagePortTransport: {
    port: [messagePortTransport, NONE],
    options: [
      (options) => {
        const { port1, port2 } = new MessageChannel();
        try {
          messagePortTransport(port1, options).close();
        } finally {
          port1.close();
          port2.close();
        }
      },
      OBJECT,
    ],
  },
  metaOf: { call: [(call) => metaOf(api.methods.m, call), NONE] },
  method: {
    init: [method, OBJECT],
    args: [(args) => method({ args }), ARRAY],
    rest: [(rest) => method({ rest }), ["undefined"]],
    result: [(result) => method({ result }), ["undefined"]],
    meta: [(meta) => method({ meta }), ["undefined"]],
    errors: [(errors) => method({ errors }), OBJECT],
  },
  msgpack: {
    options: [msgpack, OBJECT],
    encode: [(encode) => msgpack({ encode }), FUNCTION],
    decode: [(decode) => msgpack({ decode }), FUNCTION],
  },
  objectOf: { members: [objectOf, ["object"]] },
  observe: { onEvent: [observe, ["function"]] },
  optional: { value: [optional, NONE] },
  proxy: {
    a: [(a) => proxy(a, a), NONE],
    b: [
      (b) => withPeer((peer) => proxy(peer.session, b)),
      NONE,
    ],
  },
  qmux: {
    transport: [qmux, NONE],
    options: [
      (options) => qmux(memoryTransports()[0], options).close(),
      OBJECT,
    ],
  },
  quicSession: { conn: [quicSession, NONE] },
  rateLimit: {
    options: [rateLimit, ["object"]],
    by: [(by) => rateLimit({ by }), FUNCTION],
  },
  rendezvousService: {
    options: [rendezvousService, OBJECT],
    identities: [(identities) => rendezvousService({ identities }), ARRAY],
  },
  resumeStore: { options: [resumeStore, OBJECT] },
  retry: {
    options: [retry, OBJECT],
    idempotent: [(idempotent) => retry({ idempotent }), FUNCTION],
  },
  serveWebSocket: {
    options: [serveWebSocket, OBJECT],
    ...peerOptions((options) => serveWebSocket(options)),
    ...sessionOptions((options) => serveWebSocket(options)),
    authenticate: [
      (authenticate) => serveWebSocket({ authenticate }),
      FUNCTION,
    ],
    fallback: [(fallback) => serveWebSocket({ fallback }), FUNCTION],
    onPeer: [(onPeer) => serveWebSocket({ onPeer }), FUNCTION],
    resume: [(resume) => serveWebSocket({ resume }), OBJECT],
  },
  streamOf: { values: [streamOf, NONE] },
  webSocketTransport: { socket: [webSocketTransport, NONE] },
  windowTransport: {
    target: [(target) => windowTransport(target, "https://example.com"), NONE],
    origin: [
      (origin) => windowTransport({ postMessage() {} }, origin),
      NONE,
    ],
  },
  withCall: { fn: [withCall, ["function"]] },
  withMiddleware: {
    handler: [(handler) => withMiddleware(handler), ["function"]],
    middleware: [
      (middleware) => withMiddleware(handler, middleware),
      ["function"],
    ],
  },
  withReflection: {
    handler: [withReflection, ["function"]],
    options: [(options) => withReflection(handler, options), OBJECT],
    health: [(health) => withReflection(handler, { health }), FUNCTION],
    authorize: [
      (authorize) => withReflection(handler, { authorize }),
      FUNCTION,
    ],
  },
  withStream: { fn: [withStream, ["function"]] },
};

/** Closes a listener that was made in spite of an option. */
async function closed(listening: Promise<AsyncDisposable>): Promise<void> {
  await (await listening)[Symbol.asyncDispose]();
}

for (const [name, row] of Object.entries(TABLE)) {
  for (const [what, [use, right]] of Object.entries(row)) {
    Deno.test(`arguments: ${name}(): ${what}`, async () => {
      for (const [kind, value] of Object.entries(VALUES)) {
        let error: unknown;
        try {
          await use(value as never);
        } catch (refusal) {
          error = refusal;
        }
        if (right.includes(kind)) {
          assertEquals(error, undefined, `${kind} is right`);
          continue;
        }
        assertRefused(error, kind);
      }
    });
  }
}

/** What the engine says where nothing was checked; such a text explains nothing. */
const BY_CHANCE =
  /^Cannot (?:convert|destructure|read propert|set propert|use 'in')/;

function assertRefused(error: unknown, kind: string): void {
  assert(
    error instanceof TypeError || error instanceof RangeError ||
      error instanceof TalkError,
    `${kind}: ${error}`,
  );
  assertMatch(error.message, /^Cannot /, kind);
  assert(!BY_CHANCE.test(error.message), `${kind}: ${error.message}`);
}

Deno.test("arguments: every function that the package exports has a row", async () => {
  const { exports } = JSON.parse(
    await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
  ) as { exports: Record<string, string> };
  const missing: string[] = [];
  for (const [subpath, path] of Object.entries(exports)) {
    // It runs when it is loaded, and needs a package of npm that is not loaded here.
    if (subpath === "./cli" || subpath === "./opentelemetry") continue;
    const module: Record<string, unknown> = await import(
      new URL(`../${path}`, import.meta.url).href
    );
    for (const [name, value] of Object.entries(module)) {
      if (typeof value !== "function" || name in TABLE) continue;
      if (value.prototype instanceof Error) continue;
      missing.push(`${name} of ${subpath}`);
    }
  }
  assertEquals(missing, []);
});
