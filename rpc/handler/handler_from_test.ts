import {
  type Call,
  catchAll,
  handlerFrom,
  memoryPair,
  type Responder,
  Router,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as child_process from "node:child_process";
import * as nodeCrypto from "node:crypto";
import * as nodeEvents from "node:events";
import { EventEmitter } from "node:events";
import fs from "node:fs";
import { Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import vm from "node:vm";
import zlib from "node:zlib";
import { Duplex, PassThrough, Readable } from "node:stream";
import { rawCall, scriptedPeer } from "../../tests/support/raw_call.ts";
import { RemoteError } from "../errors.ts";
import type { HandlerFromOptions } from "./handler_from.ts";
import type { Handler } from "../types.ts";

/** The names of the methods of classes. */
function namesOf(...classes: { prototype: object }[]): string[] {
  return classes.flatMap(({ prototype }) => allNames(prototype));
}

/** The names of the functions of an object, its own and inherited ones. */
function allNames(object: object): string[] {
  const names = new Set<string>();
  for (
    let owner: object | null = object;
    owner !== null && owner !== Object.prototype;
    owner = Object.getPrototypeOf(owner) as object | null
  ) {
    const members = Object.entries(Object.getOwnPropertyDescriptors(owner));
    for (const [name, { value }] of members) {
      const sendable = !/[./]|^$|^constructor$/.test(name);
      if (sendable && typeof value === "function") names.add(name);
    }
  }
  return [...names];
}

/** Calls a handler over a new session. */
async function ask(
  handler: Handler,
  args?: unknown,
  selector = "",
): Promise<unknown> {
  const [client, server] = memoryPair({}, { handler });
  try {
    return await client.call(selector, args);
  } finally {
    await client.close();
    await server.close();
  }
}

/** The text of the error response to a call. */
async function failure(
  handler: Handler,
  args?: unknown,
  selector?: string,
): Promise<string> {
  const error = await assertRejects(
    () => ask(handler, args, selector),
    RemoteError,
  );
  assertEquals(error.message, `remote: ${error.text}`);
  return error.text;
}

/** The text of the error response to a call of a peer that sends no `Q`. */
async function plainFailure(
  handler: Handler,
  args: unknown,
  selector = "",
): Promise<string> {
  const { peer, raw } = scriptedPeer({ handler });
  await using _ = peer;
  const channel = await rawCall(raw, selector, args);
  const [header] = await channel.read(1) as [{ Error: string }];
  return header.Error;
}

/** Those of the given methods that a handler offers. */
async function offered(
  target: object,
  names: string[],
  options?: HandlerFromOptions,
): Promise<string[]> {
  const handler = handlerFrom(target, options);
  const found: string[] = [];
  for (const name of names) {
    const missing = `not found: /${name.replaceAll(".", "/")}`;
    const answer = await ask(handler, [], name).catch((error) => error.text);
    if (answer !== missing) found.push(name);
  }
  return found;
}

Deno.test("handlerFrom(): a function gets the arguments of the array", async () => {
  const handler = handlerFrom((a: number, b: number) => a - b);
  assertEquals(await ask(handler, [5, 3]), 2);
});

Deno.test("handlerFrom(): a function without parameters accepts null, no argument and an empty array", async () => {
  const handler = handlerFrom((...rest: unknown[]) => rest.length);
  for (const args of [undefined, null, []]) {
    assertEquals(await ask(handler, args), 0);
  }
});

Deno.test("handlerFrom(): too few arguments of a peer that is not extended fail with the reference's text", async () => {
  const handler = handlerFrom((_a: unknown, _b: unknown) => "called");
  for (const [args, count] of [[[1], 1], [[], 0], [null, 0]] as const) {
    assertEquals(
      await plainFailure(handler, args),
      `fn: expected 2 params, got ${count}`,
    );
  }
  const callback = handlerFrom(withCall((_call, _a: unknown) => "called"));
  assertEquals(
    await plainFailure(callback, []),
    "fn: expected 1 params, got 0",
  );
});

Deno.test("handlerFrom(): arguments that an extended caller leaves out are undefined", async () => {
  const handler = handlerFrom((...args: unknown[]) => args.length);
  assertEquals(await ask(handler, []), 0);
  const types = handlerFrom((a?: unknown, b?: unknown) => [
    typeof a,
    typeof b,
  ]);
  for (const args of [undefined, null, []]) {
    assertEquals(await ask(types, args), ["undefined", "undefined"]);
  }
  assertEquals(await ask(types, ["a"]), ["string", "undefined"]);
  assertEquals(await ask(types, [null]), ["object", "undefined"]);
  const object = handlerFrom({
    where: withCall((call, name?: string) => `${name} at ${call.selector}`),
  });
  assertEquals(await ask(object, [], "where"), "undefined at /where");
});

Deno.test("handlerFrom(): extra arguments are no error", async () => {
  assertEquals(await ask(handlerFrom((a: unknown) => a), [1, 2, 3]), 1);
});

Deno.test("handlerFrom(): parameters with a default and rest parameters may be missing", async () => {
  const withDefault = handlerFrom((a: string, b = "b") => a + b);
  assertEquals(await ask(withDefault, ["a"]), "ab");
  assertEquals(await ask(withDefault, ["a", "c"]), "ac");
  const withRest = handlerFrom((a: string, ...rest: string[]) =>
    [a, ...rest].join()
  );
  assertEquals(await ask(withRest, ["a"]), "a");
  assertEquals(await ask(withRest, ["a", "b", "c"]), "a,b,c");
  assertEquals(
    await plainFailure(withRest, []),
    "fn: expected 1 params, got 0",
  );
});

Deno.test("handlerFrom(): arguments that are not an array fail, and their type is named", async () => {
  const handler = handlerFrom((a: unknown) => a);
  const cases: [unknown, string][] = [
    ["text", "string"],
    [7, "number"],
    [true, "boolean"],
    [{ 0: "a", length: 1 }, "object"],
  ];
  for (const [args, type] of cases) {
    assertEquals(
      await plainFailure(handler, args),
      `fn: args: expected an array, got ${type}`,
    );
    assertEquals(
      await failure(handlerFrom({ f: { g: (a: unknown) => a } }), args, "f.g"),
      `Cannot call "/f/g": expected an array of arguments, got ${type}`,
    );
  }
});

Deno.test("handlerFrom(): the result is one value, where undefined is null", async () => {
  const cases: [() => unknown, unknown][] = [
    [() => undefined, null],
    [() => null, null],
    [() => {}, null],
    [() => [1, 2], [1, 2]],
    [() => [], []],
    [() => Promise.resolve([3]), [3]],
    [async () => await Promise.resolve(), null],
    [() => ({ a: undefined }), {}],
    [() => 0, 0],
    [() => "", ""],
    [() => false, false],
  ];
  for (const [fn, value] of cases) {
    const [client] = memoryPair({}, { handler: handlerFrom(fn) });
    await using _ = client;
    const { values, continued } = await client.request("");
    assertEquals([...values], [value]);
    assertEquals(continued, false);
  }
});

Deno.test("handlerFrom(): the result may be any thenable", async () => {
  const thenable = (settle: (resolve: (v: unknown) => void) => void) =>
    handlerFrom(() => ({
      then(resolve: (value: unknown) => void) {
        settle(resolve);
      },
    }));
  assertEquals(await ask(thenable((resolve) => resolve("now"))), "now");
  assertEquals(
    await ask(thenable((resolve) => setTimeout(resolve, 0, "later"))),
    "later",
  );
});

Deno.test("handlerFrom(): an Error that is thrown, returned or rejected with is an error response", async () => {
  const error = new RangeError("out of it");
  const fns = [
    () => {
      throw error;
    },
    () => error,
    () => Promise.reject(error),
    () => Promise.resolve(error),
  ];
  for (const fn of fns) {
    assertEquals(await failure(handlerFrom(fn)), "out of it");
  }
});

Deno.test("handlerFrom(): a thrown value that is not an Error is sent as its text", async () => {
  const cases: [unknown, string][] = [
    ["text", "text"],
    [42, "42"],
    [null, "null"],
    [undefined, "undefined"],
    [{ toString: () => "mine" }, "mine"],
    [Symbol("s"), "Symbol(s)"],
  ];
  for (const [thrown, text] of cases) {
    const sync = () => {
      throw thrown;
    };
    assertEquals(await failure(handlerFrom(sync)), text);
    assertEquals(
      await failure(handlerFrom(() => Promise.reject(thrown))),
      text,
    );
  }
});

Deno.test("handlerFrom(): a thrown value without a text is an error response, too", async () => {
  const hostile = Object.create(null);
  const odd = Object.assign(new Error(), { message: undefined });
  const worse = Object.defineProperty(new Error(), "message", {
    get() {
      throw new Error("again");
    },
  });
  const numeric = Object.assign(new Error(), { message: 404 });
  for (const thrown of [hostile, odd, worse, numeric, new Error("")]) {
    const sync = () => {
      throw thrown;
    };
    await failure(handlerFrom(sync));
    await failure(handlerFrom(() => Promise.reject(thrown)));
  }
  assertEquals(await failure(handlerFrom(() => new Error(""))), "Error");
  assertEquals(await failure(handlerFrom(() => numeric)), "404");
});

Deno.test("handlerFrom(): an error response carries no stack", async () => {
  const error = await assertRejects(
    () => ask(handlerFrom(() => new Error("plain"))),
    RemoteError,
  );
  assertEquals(error.text, "plain");
  assertEquals(JSON.stringify(error).includes("handler_test"), false);
});

Deno.test("handlerFrom(): a result that cannot be encoded is an error that names its type", async () => {
  const values: Record<string, unknown> = {
    symbol: Symbol("s"),
    Map: new Map(),
    Promise: Promise.resolve(),
    WritableStream: new WritableStream(),
    Response: new Response("body"),
  };
  for (const [type, value] of Object.entries(values)) {
    for (const [result, at] of [[[value], "[0]"], [{ a: value }, ".a"]]) {
      const expected =
        `Cannot encode value as JSON: a ${type} is not supported, at value${at}`;
      assertEquals(await failure(handlerFrom(() => result)), expected);
      const later = handlerFrom(() => Promise.resolve(result));
      assertEquals(await failure(later), expected);
    }
  }
});

Deno.test("withCall(): the call is the first parameter, and does not count as an argument", async () => {
  const handler = handlerFrom({
    where: withCall((call, name: string) => `${name} at ${call.selector}`),
    alone: withCall((call) => call.selector),
    optional: withCall((call: Call, name = "unknown") =>
      `${name} at ${call.selector}`
    ),
  });
  assertEquals(await ask(handler, ["Ann"], "where"), "Ann at /where");
  assertEquals(await ask(handler, null, "alone"), "/alone");
  assertEquals(await ask(handler, [], "optional"), "unknown at /optional");
  assertEquals(
    await plainFailure(handler, [], "where"),
    "fn: expected 1 params, got 0",
  );
});

Deno.test("withCall(): it works for a single function, and a method keeps its this", async () => {
  const single = handlerFrom(withCall((call, n: number) => [call.selector, n]));
  assertEquals(await ask(single, [1], "any.thing"), ["/any/thing", 1]);
  const object = {
    name: "it",
    tell: withCall(function (this: { name: string }, call) {
      return `${this.name} at ${call.selector}`;
    }),
  };
  assertEquals(await ask(handlerFrom(object), null, "tell"), "it at /tell");
});

Deno.test("withCall(): its result cannot be called directly", () => {
  const fn = withCall((_call, n: number) => n);
  assertThrows(() => fn(1), TypeError, "Cannot call function directly");
});

class Base {
  #hidden = "hidden";
  field = 1;
  inherited() {
    return this.#hidden;
  }
  overridden() {
    return "base";
  }
}

class Service extends Base {
  static fixed() {}
  arrow = () => this.field;
  own() {
    return "own";
  }
  override overridden() {
    return "service";
  }
  get computed() {
    return () => "computed";
  }
  set computed(_value) {}
  async later() {
    await Promise.resolve();
    return this.field;
  }
}

const NAMES = [
  "own",
  "arrow",
  "later",
  "inherited",
  "overridden",
  "field",
  "computed",
  "fixed",
  "constructor",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "__proto__",
  "__defineGetter__",
];

Deno.test("handlerFrom(): an object offers its own methods and those of its classes, and nothing else", async () => {
  assertEquals(
    await offered(new Service(), NAMES),
    ["own", "arrow", "later", "inherited", "overridden"],
  );
  const handler = handlerFrom(new Service());
  assertEquals(await ask(handler, [], "overridden"), "service");
  assertEquals(await ask(handler, [], "inherited"), "hidden");
  assertEquals(await ask(handler, [], "later"), 1);
});

Deno.test("handlerFrom(): a subclass of a built-in class offers its own methods only", async () => {
  class Store extends Map<string, number> {
    total() {
      return this.size;
    }
  }
  const names = ["total", "get", "set", "size", "clear", "toString"];
  assertEquals(await offered(new Store(), names), ["total"]);
});

Deno.test("handlerFrom(): what a class inherits from the runtime or from Node is not offered", async () => {
  class Bus extends EventEmitter {
    mine = () => "mine";
    own() {
      return this.emit("own");
    }
  }
  class Target extends EventTarget {
    own() {}
  }
  class Lines extends Readable {
    own() {}
  }
  class Deep extends Bus {
    deep() {}
  }
  class Connection extends Socket {
    own() {}
  }
  class Requests extends Headers {
    own() {}
  }
  const names = [
    "own",
    "mine",
    "deep",
    ...namesOf(EventEmitter, EventTarget, Readable, Duplex, Socket, Headers),
  ];
  assertEquals(await offered(new Bus(), names), ["own", "mine"]);
  assertEquals(await offered(new Target(), names), ["own"]);
  assertEquals(await offered(new Lines(), names), ["own"]);
  assertEquals(await offered(new Deep(), names), ["own", "mine", "deep"]);
  assertEquals(await offered(new Connection(), names), ["own"]);
  assertEquals(await offered(new Requests(), names), ["own"]);
  const nested = { bus: new Bus() };
  assertEquals(
    await offered(nested, ["bus.own", "bus.on", "bus.emit"]),
    ["bus.own"],
  );
});

Deno.test("handlerFrom(): methods of an event emitter that were copied are not offered", async () => {
  class Service {
    own() {}
  }
  Object.assign(Service.prototype, EventEmitter.prototype);
  const names = ["own", ...namesOf(EventEmitter)];
  assertEquals(await offered(new Service(), names), ["own"]);
  const literal = Object.assign({ own() {} }, EventEmitter.prototype);
  assertEquals(await offered(literal, names), ["own"]);
});

Deno.test("handlerFrom(): an object of the runtime or of Node is not offered as a nested object", async () => {
  const objects = {
    headers: new Headers(),
    response: new Response(),
    target: new EventTarget(),
    emitter: new EventEmitter(),
    stream: new PassThrough(),
    map: new Map(),
    iterator: [].values(),
    generator: (function* () {})(),
    socket: new Socket(),
    crypto,
    performance,
    console,
    Math,
    JSON,
    Reflect,
    process: globalThis.process,
    Deno,
    env: Deno.env,
    globalThis,
  };
  for (const [key, value] of Object.entries(objects)) {
    const names = allNames(value).map((name) => `${key}.${name}`);
    const service = { [key]: value, own: () => {} };
    assertEquals(await offered(service, names), [], key);
    assertThrows(() => handlerFrom(value), TypeError, "offers no methods");
  }
});

Deno.test("handlerFrom(): a class of the program is its own, whatever its name and place", async () => {
  class Server {
    fetch() {}
  }
  class Headers {
    get() {}
  }
  class ProgramGlobal {
    run() {}
  }
  Object.assign(globalThis, { ProgramGlobal });
  try {
    assertEquals(await offered(new Server(), ["fetch"]), ["fetch"]);
    assertEquals(await offered({ h: new Headers() }, ["h.get"]), ["h.get"]);
    assertEquals(await offered(new ProgramGlobal(), ["run"]), ["run"]);
  } finally {
    delete (globalThis as Record<string, unknown>)["ProgramGlobal"];
  }
});

Deno.test("handlerFrom(): an object without a prototype offers its functions", async () => {
  const object = Object.assign(Object.create(null), { a: () => 1, b: 2 });
  assertEquals(await offered(object, ["a", "b"]), ["a"]);
});

Deno.test("handlerFrom(): a method that is hidden by a value is not offered", async () => {
  const service = Object.assign(new Service(), { own: 5 });
  assertEquals(await offered(service, ["own"]), []);
});

Deno.test("handlerFrom(): no getter is run", () => {
  let runs = 0;
  handlerFrom({
    get trap() {
      return runs++;
    },
    own: () => {},
  });
  assertEquals(runs, 0);
});

Deno.test("HandlerFromOptions.methods: it limits what is offered", async () => {
  assertEquals(
    await offered(new Service(), NAMES, { methods: ["own", "inherited"] }),
    ["own", "inherited"],
  );
  assertEquals(await offered(new Service(), NAMES, { methods: [] }), []);
});

Deno.test("HandlerFromOptions.methods: names without a method are refused", () => {
  const service = new Service();
  for (const name of ["missing", "computed", "field", "constructor"]) {
    assertThrows(
      () => handlerFrom(service, { methods: [name] }),
      TypeError,
      `there is no method "${name}"`,
    );
  }
});

Deno.test("handlerFrom(): a target that is neither function nor object is refused", () => {
  for (const target of [null, undefined, 1, "text"]) {
    assertThrows(
      () => handlerFrom(target as unknown as object),
      TypeError,
      "is neither function nor object",
    );
  }
});

Deno.test("handlerFrom(): the handler of an object can be registered under a pattern", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  server.handle("svc", handlerFrom({ add: (a: number, b: number) => a + b }));
  assertEquals(await client.call("svc.add", [1, 2]), 3);
  const error = await assertRejects(() => client.call("svc.sub"), RemoteError);
  // As in the reference, the text names the whole selector.
  assertEquals(error.text, "not found: /svc/sub");
});

Deno.test("handlerFrom(): arguments that arrive late and in pieces are the same arguments", async () => {
  const big = "x".repeat(300_000);
  const handler = handlerFrom((text: string) => text.length);
  assertEquals(await ask(handler, [big]), 300_000);
});

Deno.test("handlerFrom(): an object literal offers the objects in it under their names", async () => {
  const handler = handlerFrom({
    top: () => "top",
    math: {
      add: (a: number, b: number) => a + b,
      trig: { sin: (x: number) => Math.sin(x) },
    },
    service: new Service(),
    bare: Object.assign(Object.create(null), { fn: () => "bare" }),
  });
  assertEquals(await ask(handler, [], "top"), "top");
  assertEquals(await ask(handler, [1, 2], "math.add"), 3);
  assertEquals(await ask(handler, [0], "math/trig/sin"), 0);
  assertEquals(await ask(handler, [], "service.inherited"), "hidden");
  assertEquals(await ask(handler, [], "bare.fn"), "bare");
  for (const missing of ["math", "math.sin", "sin", "service.computed"]) {
    assertEquals(
      await failure(handler, [], missing),
      `not found: /${missing.replace(".", "/")}`,
    );
  }
});

Deno.test("handlerFrom(): a method of a nested object has that object as its this", async () => {
  const handler = handlerFrom({
    name: "outer",
    inner: {
      name: "inner",
      tell() {
        return this.name;
      },
    },
  });
  assertEquals(await ask(handler, [], "inner.tell"), "inner");
});

Deno.test("handlerFrom(): a router in an object literal is registered under its name", async () => {
  const router = new Router();
  router.handle("deep.er", (_call, respond) => respond.return("routed"));
  const handler = handlerFrom({ nested: { router } });
  assertEquals(await ask(handler, [], "nested.router.deep.er"), "routed");
});

Deno.test("handlerFrom(): values, built-in objects and fields of classes are not offered as nested objects", async () => {
  class Holder {
    store = { secret: () => "secret" };
    secret() {
      return this.store.secret();
    }
  }
  const handler = handlerFrom({
    list: [() => 1],
    map: new Map([["get", 1]]),
    date: new Date(),
    bytes: new Uint8Array(4),
    promise: Promise.resolve(1),
    text: "text",
    nothing: null,
    data: { a: 1, b: { c: 2 } },
    holder: new Holder(),
    get computed() {
      return { fn: () => 1 };
    },
  });
  const selectors = [
    "list.0",
    "list.push",
    "map.get",
    "date.getTime",
    "bytes.fill",
    "promise.then",
    "text.trim",
    "data.a",
    "data.b.c",
    "holder.store.secret",
    "computed.fn",
  ];
  for (const selector of selectors) {
    const error = await failure(handler, [], selector);
    assertEquals(error, `not found: /${selector.replaceAll(".", "/")}`);
  }
  assertEquals(await ask(handler, [], "holder.secret"), "secret");
});

Deno.test("handlerFrom(): objects that contain themselves are accepted", async () => {
  const service = {
    fn: () => "once",
    inner: { fn: () => "twice", outer: undefined as unknown },
  };
  service.inner.outer = service;
  const handler = handlerFrom(service);
  assertEquals(await ask(handler, [], "inner.fn"), "twice");
  assertEquals(
    await failure(handler, [], "inner.outer.fn"),
    "not found: /inner/outer/fn",
  );
});

Deno.test("HandlerFromOptions.methods: it limits nested objects as a whole", async () => {
  const service = { a: { fn: () => "a" }, b: { fn: () => "b" }, c: { n: 1 } };
  const handler = handlerFrom(service, { methods: ["a"] });
  assertEquals(await ask(handler, [], "a.fn"), "a");
  await failure(handler, [], "b.fn");
  assertThrows(
    () => handlerFrom(service, { methods: ["c"] }),
    TypeError,
    'there is no method "c"',
  );
});

Deno.test("catchAll: it answers selectors without a method, in nested objects too", async () => {
  class Dynamic {
    prefix = "dynamic";
    known() {
      return "known";
    }
    [catchAll](call: Call, respond: Responder) {
      return respond.return(`${this.prefix} ${call.selector}`);
    }
  }
  const handler = handlerFrom(new Dynamic());
  assertEquals(await ask(handler, [], "known"), "known");
  assertEquals(await ask(handler, [], "any.thing"), "dynamic /any/thing");
  assertEquals(await ask(handler, [], ""), "dynamic /");

  const outer = handlerFrom({ inner: new Dynamic(), fn: () => "fn" });
  assertEquals(await ask(outer, [], "inner.known"), "known");
  assertEquals(await ask(outer, [], "inner.x.y"), "dynamic /inner/x/y");
  assertEquals(await failure(outer, [], "other"), "not found: /other");
});

Deno.test("catchAll: it may be any handler, and is not offered with a list of methods", async () => {
  const router = new Router();
  router.handle("x", (_call, respond) => respond.return("routed"));
  const service = { fn: () => "fn", [catchAll]: router };
  assertEquals(await ask(handlerFrom(service), [], "x"), "routed");
  const limited = handlerFrom(service, { methods: ["fn"] });
  assertEquals(await failure(limited, [], "x"), "not found: /x");
});

/** A class in older JavaScript. */
function OldClass() {}
OldClass.prototype.hello = function () {};

/** What is given for a service by mistake, and what to write. */
const NO_SERVICES: [what: string, target: unknown, advice: string][] = [
  ["a class", Service, "Service is a class; write handlerFrom(new Service())"],
  ["a class without a name", class {}, "write handlerFrom(new TheClass())"],
  ["a class of the runtime", Map, "Map is a class"],
  ["a class in older JavaScript", OldClass, "OldClass is a class"],
  ["an object without methods", {}, "the object offers no methods"],
  ["an object with values only", { a: 1, b: "x" }, "offers no methods"],
  ["an object with getters only", {
    get a() {
      return () => {};
    },
  }, "no methods"],
  ["an object with classes only", { Service }, "offers no methods"],
  ["an instance without methods", new (class {})(), "offers no methods"],
  ["a list", [() => {}].slice(1), "offers no methods"],
  ["a Map", new Map([["a", () => {}]]), "offers no methods"],
  ["a promise", Promise.resolve({ a() {} }), "it is a promise; await it"],
  ["a Router", new Router(), "a Router is a handler already"],
  ["a module of Node", fs, "offers no methods"],
  ["a namespace", { ...nodeEvents }, "offers no methods"],
  ["null", null, "null is neither function nor object"],
  ["a number", 5, "a number is neither function nor object"],
];

for (const [what, target, advice] of NO_SERVICES) {
  Deno.test(`handlerFrom(): ${what} is a TypeError that says what to write`, () => {
    const error = assertThrows(
      () => handlerFrom(target as object),
      TypeError,
    );
    assert(error.message.startsWith("Cannot make handler: "), error.message);
    assert(error.message.includes(advice), error.message);
  });
}

Deno.test("handlerFrom(): a peer is no service, neither alone nor in one", async () => {
  const [peer] = memoryPair();
  await using _ = peer;
  assertThrows(() => handlerFrom(peer), TypeError, "write forward(peer)");
  assertEquals(await offered({ peer, own() {} }, ["peer.call", "own"]), [
    "own",
  ]);
});

Deno.test("handlerFrom(): modules of Node, their objects and classes are not offered as members", async () => {
  const members = {
    fs,
    promises: fs.promises,
    child_process,
    crypto: nodeCrypto,
    path,
    os,
    events: nodeEvents,
    hash: nodeCrypto.createHash("sha256"),
    hmac: nodeCrypto.createHmac("sha256", "x"),
    gzip: zlib.createGzip(),
    script: new vm.Script("1"),
    prototype: WeakRef.prototype,
    Headers,
    EventEmitter,
    nested: { fs, deeper: { path } },
  };
  for (const [key, value] of Object.entries(members)) {
    const names = [
      key,
      ...allNames(value).map((name) => `${key}.${name}`),
      `${key}.fs.readFileSync`,
      `${key}.deeper.path.join`,
    ];
    assertEquals(await offered({ [key]: value, own() {} }, names), [], key);
  }
});

Deno.test("handlerFrom(): functions of the runtime that a program lists are offered, a whole module is not", async () => {
  const listed = { now: Date.now, join: path.join, round: Math.round };
  assertEquals(await offered(listed, Object.keys(listed)), Object.keys(listed));
  const spread = { ...path, ...console, own: () => {} };
  assertEquals(await offered(spread, Object.keys(spread)), ["own"]);
});

Deno.test("Router.handle(): what is no handler is a TypeError that says what to write", () => {
  const router = new Router();
  const wrong: [unknown, string][] = [
    [Service, "is the class Service; write handlerFrom(new Service())"],
    [new Service(), "write handlerFrom(object)"],
    [{ add: () => 1 }, "write handlerFrom(object)"],
    [(a: number, b: number, c: number) => a + b + c, "write handlerFrom(fn)"],
    [withCall((_call, a: number) => a), "write handlerFrom(fn)"],
    [withStream(() => 1), "write handlerFrom(fn)"],
    [Promise.resolve(() => {}), "is a promise; await it"],
    [undefined, "neither a function nor an object with respond()"],
    ["add", "neither a function nor an object with respond()"],
  ];
  for (const [handler, advice] of wrong) {
    const error = assertThrows(
      () => router.handle("add", handler as Handler),
      TypeError,
    );
    assert(error.message.startsWith('Cannot handle "/add": '), error.message);
    assert(error.message.includes(advice), error.message);
  }
  assertEquals(router.size, 0);
});

Deno.test("handlerFrom(): a name that would match other selectors is refused", () => {
  const fn = () => "not for all";
  const services = [
    { "": fn },
    { "admin.": fn },
    { "admin/": fn },
    { "": { stop: fn } },
    { admin: { "": fn } },
  ];
  for (const service of services) {
    assertThrows(
      () => handlerFrom(service),
      TypeError,
      "is not a name but a pattern, which many selectors match",
    );
  }
});
