import {
  catchAll,
  type Handler,
  handlerFrom,
  type HandlerFunction,
  Router,
  withCall,
  withMiddleware,
  withStream,
} from "@qtalk/qtalk";
import {
  describeHandler,
  description,
  type ServiceDescription,
  withReflection,
} from "@qtalk/qtalk/reflection";
import { assertEquals } from "@std/assert";
import { isWithin } from "./description.ts";

const nothing: HandlerFunction = () => {};

Deno.test("describeHandler(): methods of an object have their selectors and parameters", () => {
  const service = {
    add: (a: number, b: number) => a + b,
    greet: (name = "you") => name,
    sum: (...numbers: number[]) => numbers.length,
    math: { pi: () => Math.PI },
    version: "1",
  };
  assertEquals(describeHandler(handlerFrom(service)).methods, [
    { selector: "add", params: 2 },
    { selector: "greet", params: 0 },
    { selector: "sum", params: 0 },
    { selector: "math.pi", params: 0 },
  ]);
});

Deno.test("describeHandler(): the methods of a class are described, and what answers the rest", () => {
  class Store {
    get(_key: string) {}
    #secret() {}
    [catchAll]: HandlerFunction = () => this.#secret();
  }
  assertEquals(describeHandler(handlerFrom(new Store())).methods, [
    { selector: "get", params: 1 },
    { selector: "", prefix: true },
  ]);
});

Deno.test("describeHandler(): only the methods that are offered are described", () => {
  const service = { a() {}, b() {} };
  const handler = handlerFrom(service, { methods: ["b"] });
  assertEquals(describeHandler(handler).methods, [
    { selector: "b", params: 0 },
  ]);
});

Deno.test("describeHandler(): the call is no parameter, and generators and streams are known", () => {
  const service = {
    whoami: withCall((_call, name: string) => name),
    async *count(to: number) {
      yield to;
    },
    ticks: withCall(async function* (_call) {
      yield 1;
    }),
    total: withStream((_numbers: AsyncIterable<number>) => 0),
    doubled: withStream(async function* (numbers: AsyncIterable<number>) {
      yield* numbers;
    }),
    async later() {},
  };
  assertEquals(describeHandler(handlerFrom(service)).methods, [
    { selector: "whoami", params: 1 },
    { selector: "count", kind: "stream", params: 1 },
    { selector: "ticks", kind: "stream", params: 0 },
    { selector: "total", args: [{ stream: true }] },
    { selector: "doubled", kind: "stream", args: [{ stream: true }] },
    { selector: "later", params: 0 },
  ]);
});

Deno.test("describeHandler(): a function answers every selector", () => {
  assertEquals(describeHandler(handlerFrom((_s: string) => {})).methods, [
    { selector: "", prefix: true, params: 1 },
  ]);
  assertEquals(describeHandler(nothing).methods, [
    { selector: "", prefix: true },
  ]);
});

Deno.test("describeHandler(): patterns of a router are described, and what they hide is not", () => {
  const router = new Router();
  router.handle("", handlerFrom({ a() {}, math: { pi() {}, e() {} } }));
  router.handle("a", nothing);
  router.handle("math.", handlerFrom({ e(_n: number) {} }));
  router.handle("files/", nothing);
  router.handle("one", handlerFrom((_n: number) => {}));
  assertEquals(describeHandler(router).methods, [
    { selector: "a" },
    { selector: "math.e", params: 1 },
    { selector: "files.", prefix: true },
    { selector: "one", params: 1 },
  ]);
});

Deno.test("describeHandler(): it changes with the router", () => {
  const router = new Router();
  const registered = router.handle("a", nothing);
  assertEquals(describeHandler(router).methods.length, 1);
  registered[Symbol.dispose]();
  assertEquals(describeHandler(router), { methods: [] });
});

Deno.test("describeHandler(): a router that contains itself has an end", () => {
  const router = new Router();
  router.handle("a", nothing);
  router.handle("again", router);
  assertEquals(describeHandler(router).methods, [{ selector: "a" }]);
});

Deno.test("describeHandler(): handlers with middleware and reflection around them are described", () => {
  const inner = withReflection(handlerFrom({ a() {} }), { name: "inner" });
  assertEquals(
    describeHandler(withMiddleware(inner, (_call, next) => next())),
    {
      name: "inner",
      methods: [{ selector: "a", params: 0 }],
    },
  );
});

Deno.test("describeHandler(): a handler describes itself by a method", () => {
  const described: ServiceDescription = {
    name: "own",
    doc: "Describes itself.",
    methods: [{ selector: "x.y", kind: "bytes", doc: "Bytes." }],
  };
  const handler: Handler = Object.assign(
    (..._: Parameters<HandlerFunction>) => {},
    { [description]: () => described },
  );
  assertEquals(describeHandler(handler), described);
  const router = new Router();
  router.handle("inner.", handler);
  assertEquals(describeHandler(router).methods, [
    { selector: "inner.x.y", kind: "bytes", doc: "Bytes." },
  ]);
});

Deno.test("describeHandler(): a selector selects a method, a group, and what answers it", () => {
  const cases: [string, boolean, string, boolean][] = [
    ["math.add", false, "math.add", true],
    ["math.add", false, "/math/add", true],
    ["math.add", false, "math", true],
    ["math.add", false, "math.", true],
    ["math.add", false, "ma", false],
    ["math.add", false, "", true],
    ["math.add", false, "math.add.x", false],
    ["files.", true, "files.a", true],
    ["files.", true, "files", true],
    ["", true, "anything", true],
  ];
  for (const [selector, prefix, group, expected] of cases) {
    const method = { selector, ...(prefix && { prefix }) };
    assertEquals(isWithin(method, group), expected, `${selector} in ${group}`);
  }
});
