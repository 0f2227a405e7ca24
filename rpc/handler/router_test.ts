import { assert, assertEquals, assertThrows } from "@std/assert";
import { Router } from "./router.ts";
import type { Handler } from "../types.ts";

const handlers = new Map<string, Handler>();

/** A handler that answers with its name. */
function named(name: string): Handler {
  const known = handlers.get(name);
  if (known !== undefined) return known;
  const handler: Handler = () => {};
  handlers.set(name, handler);
  return handler;
}

/** A router with a handler for each pattern, named after it. */
function routerOf(...patterns: string[]): Router {
  const router = new Router();
  for (const pattern of patterns) router.handle(pattern, named(pattern));
  return router;
}

/** The name of the handler that answers a selector. */
function found(router: Router, selector: string): string | undefined {
  const handler = router.match(selector)?.handler;
  return [...handlers].find(([, value]) => value === handler)?.[0];
}

Deno.test("Router.match: dots and slashes in selectors and patterns are equivalent", () => {
  for (const pattern of ["foo.bar", "/foo/bar", "foo/bar", "/foo.bar"]) {
    const router = routerOf(pattern);
    for (const selector of ["foo.bar", "/foo/bar", "foo/bar"]) {
      assertEquals(found(router, selector), pattern);
      assertEquals(router.match(selector)?.pattern, "/foo/bar");
    }
  }
});

Deno.test("Router.match: a pattern without a slash at its end matches one selector only", () => {
  const router = routerOf("foo");
  assertEquals(found(router, "foo"), "foo");
  for (const selector of ["", "fo", "foos", "foo/", "foo.bar", "Foo"]) {
    assertEquals(found(router, selector), undefined, selector);
  }
});

Deno.test("Router.match: a pattern with a slash or dot at its end matches every selector that begins with it", () => {
  for (const pattern of ["foo.", "foo/"]) {
    const router = routerOf(pattern);
    for (const selector of ["foo.", "foo.bar", "/foo/bar/baz"]) {
      assertEquals(found(router, selector), pattern);
      assertEquals(router.match(selector)?.pattern, "/foo/");
    }
    for (const selector of ["foo", "foobar", "fo/o", ""]) {
      assertEquals(found(router, selector), undefined);
    }
  }
});

Deno.test("Router.match: an exact match wins over every prefix", () => {
  const router = routerOf("/", "foo.", "foo.bar", "foo.bar.");
  assertEquals(found(router, "foo.bar"), "foo.bar");
});

Deno.test("Router.match: the longest prefix wins, in any order of registration", () => {
  const patterns = ["", "foo.", "foo.bar.", "foo.bar.baz.deep."];
  for (const order of [patterns, patterns.toReversed()]) {
    const router = routerOf(...order);
    assertEquals(found(router, "other"), "");
    assertEquals(found(router, "foo.x"), "foo.");
    assertEquals(found(router, "foo.bar.x"), "foo.bar.");
    assertEquals(found(router, "foo.bar.baz.deep.x"), "foo.bar.baz.deep.");
    assertEquals(found(router, "foo.bar.baz.x"), "foo.bar.");
  }
});

Deno.test("Router.match: an empty pattern matches every selector", () => {
  const router = routerOf("");
  for (const selector of ["", "/", "a", "a.b"]) {
    assertEquals(found(router, selector), "");
  }
});

Deno.test("Router.match: a router under a pattern matches the rest of the selector", () => {
  const router = new Router();
  router.handle("math", routerOf("add", "trig."));
  assertEquals(found(router, "math.add"), "add");
  assertEquals(router.match("math.add")?.pattern, "/add");
  assertEquals(found(router, "math/trig/sin"), "trig.");
  for (const selector of ["add", "math", "mathadd", "math.sub"]) {
    assertEquals(found(router, selector), undefined, selector);
  }
});

Deno.test("Router.match: a router under a pattern may contain routers", () => {
  const middle = new Router();
  middle.handle("b.", routerOf("c"));
  const router = new Router();
  router.handle("a", middle);
  assertEquals(found(router, "a.b.c"), "c");
  assertEquals(found(router, "a.c"), undefined);
});

Deno.test("Router.match: a miss in a sub-router does not fall back to its parent", () => {
  const router = routerOf("", "a.");
  router.handle("a.b", routerOf("known"));
  assertEquals(found(router, "a.b.known"), "known");
  assertEquals(found(router, "a.b.unknown"), undefined);
  assertEquals(found(router, "a.x"), "a.");
});

Deno.test("Router.match: an exact pattern of the parent wins over a sub-router", () => {
  const router = routerOf("a.b");
  router.handle("a", routerOf("b", "c"));
  assertEquals(found(router, "a.b"), "a.b");
  assertEquals(found(router, "a.c"), "c");
});

Deno.test("Router.handle: its result removes the handler, and no other", () => {
  const router = routerOf("a.", "a.b");
  const removal = router.handle("a.b.", named("x"));
  assertEquals(found(router, "a.b.c"), "x");
  removal[Symbol.dispose]();
  assertEquals(found(router, "a.b.c"), "a.");
  assertEquals(found(router, "a.b"), "a.b");
  using _again = router.handle("a.b.", named("y"));
  removal[Symbol.dispose]();
  assertEquals(found(router, "a.b.c"), "y", "removing twice removes nothing");
});

Deno.test("Router.handle: its result does not remove a handler that was registered later", () => {
  const router = new Router();
  const old = router.handle("a", named("a"));
  old[Symbol.dispose]();
  router.handle("a", named("a"));
  old[Symbol.dispose]();
  assertEquals(found(router, "a"), "a");
});

Deno.test("Router.handle: a pattern that has a handler is refused in every form", () => {
  const router = routerOf("foo.bar", "foo.");
  for (const pattern of ["foo.bar", "/foo/bar", "foo/bar", "foo/"]) {
    assertThrows(
      () => router.handle(pattern, named("twice")),
      TypeError,
      "it already has a handler",
    );
  }
  assertThrows(() => router.handle("foo", new Router()), TypeError, '"/foo/"');
  assertEquals(found(router, "foo.bar"), "foo.bar");
});

Deno.test("Router.handle: a value that is not a handler is refused", () => {
  const router = new Router();
  for (const nothing of [null, undefined, {}, "name", { respond: 1 }]) {
    assertThrows(
      () => router.handle("a", nothing as unknown as Handler),
      TypeError,
      'Cannot handle "/a": the handler is neither a function nor an object with respond()',
    );
  }
  assertEquals(router.match("a"), undefined);
});

Deno.test("Router.respond: a handler may be an object with respond()", () => {
  const handler = { respond: () => {} };
  const router = new Router();
  router.handle("a", handler);
  assert(router.match("a")?.handler === handler);
});

/** The ways to write `admin.stop` with an empty segment. */
const EMPTY_SEGMENTS = [
  "admin//stop",
  "admin..stop",
  "admin./stop",
  "admin/.stop",
  "admin///stop",
  "//admin/stop",
  ".admin.stop",
  "./admin.stop",
  "admin.stop..",
  "admin/stop//",
  "admin/stop/.",
];

Deno.test("Router.match: a selector with an empty segment matches nothing", () => {
  const router = routerOf("", "admin.stop");
  router.handle("admin", routerOf("stop", ""));
  assertEquals(found(router, "admin.stop"), "admin.stop");
  for (const selector of EMPTY_SEGMENTS) {
    assertEquals(router.match(selector), undefined, selector);
  }
});

Deno.test("Router.handle: a pattern with an empty segment is refused", () => {
  const router = new Router();
  for (const pattern of [...EMPTY_SEGMENTS, ".", "//"]) {
    assertThrows(
      () => router.handle(pattern, named("x")),
      TypeError,
      "it has an empty segment",
    );
  }
  assertEquals(router.size, 0);
});

Deno.test("Router.match: nothing but separators is normalized", () => {
  const router = routerOf("admin.stop", "\u00e9");
  for (
    const selector of [
      "Admin.stop",
      "ADMIN.STOP",
      "admin%2estop",
      "admin%2Fstop",
      "admin\\stop",
      "admin\uff0estop",
      "admin\u2024stop",
      "admin\u200b.stop",
      "admin.stop\0",
      " admin.stop",
      "admin.stop ",
      "admin.stop/",
      "e\u0301",
      "\u00c9",
    ]
  ) assertEquals(router.match(selector), undefined, selector);
});
