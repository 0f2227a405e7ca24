// How a router matches selectors: an exact match first, then the longest
// pattern that ends with a dot, then the empty pattern.
//
//   deno run examples/routing.ts
//
// Prints:
//
//   hello: HELLO
//   math.add: 3
//   math/add: 3
//   math.pow: remote: not found: /math/pow
//   files/a/b: a file at /files/a/b
//   files/index: the index
//   anything: no handler for /anything
//   files/index: a file at /files/index

import { handlerFrom, memoryPair, Router } from "@qtalk/qtalk";

// A router is a handler: this one answers the selectors that begin with
// "math.".
const math = new Router();
math.handle("add", handlerFrom((a: number, b: number) => a + b));

const router = new Router();
router.handle("hello", (_call, respond) => respond.return("HELLO"));
router.handle("math", math);
router.handle("files.", (call, respond) => {
  return respond.return(`a file at ${call.selector}`);
});
const index = router.handle("files.index", (_call, respond) => {
  return respond.return("the index");
});
router.handle("", (call, respond) => {
  return respond.return(`no handler for ${call.selector}`);
});

const [client] = memoryPair({}, { handler: router });
await using _ = client;

async function show(selector: string, args?: unknown) {
  const answer = await client.call(selector, args).catch((e) => e.message);
  console.log(`${selector}: ${answer}`);
}

await show("hello");
// Dots and slashes are equivalent.
await show("math.add", [1, 2]);
await show("math/add", [1, 2]);
// If a router finds no handler, no other router is tried.
await show("math.pow", [2, 10]);
await show("files/a/b");
await show("files/index");
await show("anything");
// A handler can be removed at any time.
index[Symbol.dispose]();
await show("files/index");
