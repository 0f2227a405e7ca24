import { assert } from "@std/assert";
import { isBuiltInPrototype } from "./built_in.ts";

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
