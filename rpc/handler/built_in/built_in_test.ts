import nodeAssert from "node:assert";
import * as asyncHooks from "node:async_hooks";
import { Console } from "node:console";
import crypto from "node:crypto";
import diagnostics from "node:diagnostics_channel";
import dns from "node:dns";
import domain from "node:domain";
import fs from "node:fs";
import inspector from "node:inspector";
import { builtinModules, Module, SourceMap } from "node:module";
import path from "node:path";
import perfHooks from "node:perf_hooks";
import process from "node:process";
import punycode from "node:punycode";
import readline from "node:readline";
import { Stream } from "node:stream";
import nodeTest from "node:test";
import {
  clearTimeout as clearNodeTimeout,
  setTimeout as setNodeTimeout,
} from "node:timers";
import timers from "node:timers/promises";
import tty from "node:tty";
import { parse as parseUrl } from "node:url";
import v8 from "node:v8";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { isBuiltInPrototype } from "./classes.ts";
import { handlerFrom } from "../handler_from.ts";
import { notFound } from "../invoke.ts";
import type { Router } from "../router.ts";

/** The classes among the members of an object, by name. */
function* classesIn(
  owner: object,
): Generator<[name: string, prototype: object]> {
  for (const name of Object.getOwnPropertyNames(owner)) {
    // They open a database, or throw.
    if (/^(localStorage|sessionStorage|jupyter)$/.test(name)) continue;
    const value: unknown = (owner as Record<string, unknown>)[name];
    if (typeof value !== "function") continue;
    const prototype: unknown = value.prototype;
    if (typeof prototype !== "object" || prototype === null) continue;
    if (Object.getOwnPropertyNames(prototype).length > 1) {
      yield [name, prototype];
    }
  }
}

Deno.test("isBuiltInPrototype(): every class of globalThis, of Deno and of Node's events and streams is built in", async () => {
  const owners = {
    globalThis,
    Deno,
    "Deno.errors": Deno.errors,
    Intl,
    WebAssembly,
    "node:events": await import("node:events"),
    "node:stream": await import("node:stream"),
    "node:net": await import("node:net"),
    "node:http": await import("node:http"),
  };
  let count = 0;
  for (const [owner, members] of Object.entries(owners)) {
    for (const [name, prototype] of classesIn(members)) {
      assert(isBuiltInPrototype(prototype), `${owner}: ${name}`);
      count++;
    }
  }
  assert(count > 150, `found only ${count}`);
});

/** The modules of Node that this runtime has, as programs import them. */
async function modules(): Promise<Record<string, object>> {
  const all: Record<string, object> = {};
  for (const listed of builtinModules) {
    const name = /^(?:bun|undici$|ws$)/.test(listed)
      ? listed
      : `node:${listed.replace(/^node:/, "")}`;
    const module = process.getBuiltinModule(name) as object | undefined;
    if (module !== undefined) all[name] = module;
    all[`the namespace of ${name}`] = await import(name);
    if (typeof module === "object") all[`a copy of ${name}`] = { ...module };
  }
  return all;
}

/** The selectors below `prefix` under which a handler offers members of `value`. */
function offered(handler: Router, prefix: string, value: unknown): string[] {
  const found: string[] = [];
  const seen = new Set<unknown>();
  const look = (selector: string) => {
    const handlerOf = handler.match(selector)?.handler ?? notFound;
    if (handlerOf !== notFound) found.push(selector);
  };
  const walk = (value: unknown, selector: string, depth: number) => {
    if (typeof value !== "object" || value === null) return;
    if (depth === 4 || seen.has(value)) return;
    seen.add(value);
    let owner: object | null = value;
    while (owner !== null && owner !== Object.prototype) {
      const members = Object.getOwnPropertyDescriptors(owner);
      for (const [name, { value }] of Object.entries(members)) {
        const path = `${selector}/${name}`;
        if (typeof value === "function" && name !== "constructor") look(path);
        if (owner === seen.values().next().value || depth > 0) {
          walk(value, path, depth + 1);
        }
      }
      owner = Object.getPrototypeOf(owner);
    }
  };
  if (typeof value === "function") look(prefix);
  walk(value, prefix, 0);
  return found;
}

/** What is offered of a value that is a member of a service. */
function offeredOf(value: unknown): string[] {
  const handler = handlerFrom({ own() {}, member: value });
  return offered(handler as Router, "/member", value);
}

Deno.test("handlerFrom(): nothing is offered of any module of Node, however it is imported", async () => {
  const all = await modules();
  assert(Object.keys(all).length > 150, "there are modules");
  for (const [what, module] of Object.entries(all)) {
    assertEquals(offeredOf(module), [], what);
    if (what.startsWith("a copy")) continue;
    assertThrows(() => handlerFrom(module), TypeError, undefined, what);
  }
});

Deno.test("handlerFrom(): nothing is offered of the parts of Node's modules", () => {
  const parts: Record<string, unknown> = {
    "test.mock": nodeTest.mock,
    "v8.startupSnapshot": v8.startupSnapshot,
    "v8.promiseHooks": v8.promiseHooks,
    "inspector.console": inspector.console,
    "process.report": process.report,
    "readline.promises": readline.promises,
    "timers/promises.scheduler": timers.scheduler,
    "fs.promises": fs.promises,
    "path.posix": path.posix,
    "punycode.ucs2": punycode.ucs2,
    "a copy of punycode.ucs2": { ...punycode.ucs2 },
    "process.stdout": process.stdout,
    "process.stdin": process.stdin,
    "Stream.prototype": Stream.prototype,
    "Module.prototype": Module.prototype,
    "perf_hooks.performance": perfHooks.performance,
  };
  for (const [what, part] of Object.entries(parts)) {
    assertEquals(offeredOf(part), [], what);
    assertEquals(offeredOf({ part }), [], `a member: ${what}`);
  }
  const own = { decode: () => 1, encode: () => 2 };
  assertEquals(offeredOf(own).length, 2, "a program's own");
});

/** What a test closes at its end. */
interface Cleanup {
  defer(close: () => void): void;
}

/** Objects of classes of the runtime, many of which no module exports. */
const INSTANCES: Record<string, (cleanup: Cleanup) => unknown> = {
  "fs.Stats": () => fs.statSync("."),
  "fs.BigIntStats": () => fs.statSync(".", { bigint: true }),
  "fs.Dirent": () => fs.readdirSync(".", { withFileTypes: true })[0],
  "fs.Dir"(cleanup) {
    const dir = fs.opendirSync(".");
    cleanup.defer(() => dir.closeSync());
    return dir;
  },
  "a group of crypto": () => crypto.getDiffieHellman("modp14"),
  "a secret key": () => crypto.createSecretKey(new Uint8Array(16)),
  "a public key": () =>
    crypto.generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey,
  "crypto.Certificate": () => new crypto.Certificate(),
  "an HMAC": () => crypto.createHmac("sha256", "key"),
  "dns.Resolver": () => new dns.Resolver(),
  "dns.promises.Resolver": () => new dns.promises.Resolver(),
  "a diagnostics channel": () => diagnostics.channel("qtalk"),
  "a tracing channel": () => diagnostics.tracingChannel("qtalk"),
  "an async hook": () => asyncHooks.createHook({}),
  "a histogram": () => perfHooks.createHistogram(),
  "an event loop histogram": () => perfHooks.monitorEventLoopDelay(),
  "a timer": (cleanup) => {
    const timer = setNodeTimeout(() => {}, 1_000);
    cleanup.defer(() => clearNodeTimeout(timer));
    return timer;
  },
  "a URL of node:url": () => parseUrl("http://a/"),
  "a domain": () => domain.create(),
  "a serializer": () => new v8.Serializer(),
  "an assertion error": () => new nodeAssert.AssertionError({ message: "a" }),
  "a console": () => new Console(process.stderr),
  "a source map": () => new SourceMap(EMPTY_MAP),
  "a module": () => new Module("a"),
  "a TCP listener"(cleanup) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    cleanup.defer(() => listener.close());
    return listener;
  },
  "a file watcher"(cleanup) {
    const watcher = Deno.watchFs(".");
    cleanup.defer(() => watcher.close());
    return watcher;
  },
  "Deno's internals": () =>
    (Deno as unknown as Record<symbol, unknown>)[
      (Deno as unknown as { internal: symbol }).internal
    ],
};

const EMPTY_MAP = { version: 3, sources: [], names: [], mappings: "" } as never;

for (const [what, make] of Object.entries(INSTANCES)) {
  Deno.test(`handlerFrom(): nothing is offered of ${what}`, () => {
    const closes: (() => void)[] = [];
    try {
      const made = make({ defer: (close) => closes.push(close) });
      assertEquals(offeredOf(made), []);
    } finally {
      for (const close of closes) close();
    }
  });
}

Deno.test("handlerFrom(): nothing is offered of a server or a connection of Deno's", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response(),
  );
  using conn = await Deno.connect({ port: server.addr.port });
  assertEquals(offeredOf(server), []);
  assertEquals(offeredOf(conn), []);
});

Deno.test("handlerFrom(): classes of programs that are named as those of the runtime are offered", () => {
  class Channel {
    subscribe() {}
    publish() {}
  }
  class Domain {
    add() {}
    enter() {}
    exit() {}
  }
  class Resolver {
    resolve() {}
  }
  class Session {
    post() {}
  }
  class Module {
    load() {}
    link() {}
  }
  class Scheduler {
    wait() {}
    yield() {}
  }
  class Timeout {
    ref() {}
    refresh() {}
  }
  class Listener {
    accept() {}
    close() {}
  }
  const classes = [
    Channel,
    Domain,
    Resolver,
    Session,
    Module,
    Scheduler,
    Timeout,
    Listener,
  ];
  for (const Class of classes) {
    const names = Object.getOwnPropertyNames(Class.prototype)
      .filter((name) => name !== "constructor");
    const paths = names.map((name) => `/member/${name}`);
    assertEquals(offeredOf(new Class()), paths, Class.name);
  }
  // So are functions of modules that a program lists, and objects with such names.
  const listed = {
    isatty: tty.isatty,
    beforeEach() {},
    runAll() {},
    restoreAll() {},
    writeReport() {},
  };
  assertEquals(offeredOf(listed).length, 5);
  const withMembers = Object.assign(() => 1, { beforeEach() {}, x: 1 });
  assertEquals(offeredOf(withMembers), ["/member"]);
});

Deno.test("handlerFrom(): process, which takes Deno 11 ms to load, is not read for what is no part of Node", () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "process")!;
  let reads = 0;
  Object.defineProperty(globalThis, "process", {
    configurable: true,
    get() {
      reads++;
      return own.get?.call(globalThis) ?? own.value;
    },
  });
  try {
    class Base {
      ping() {}
    }
    class Service extends Base {
      add(a: number, b: number) {
        return a + b;
      }
    }
    handlerFrom(() => {});
    handlerFrom({ upper: (text: string) => text.toUpperCase(), a: { b() {} } });
    handlerFrom(new Service());
    handlerFrom(Object.assign(new EventTarget(), { ping() {} }));
    assertEquals(reads, 0);
  } finally {
    Object.defineProperty(globalThis, "process", own);
  }
});
