import { assertEquals, assertThrows } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { z } from "../../tests/support/schema_libraries.ts";
import {
  bytes,
  clientOf,
  contract,
  type ContractMethods,
  implement,
  method,
  type StandardSchema,
  streamOf,
} from "./mod.ts";

Deno.test("contract(): refuses a name that is empty, and methods that are none", () => {
  const loop: Record<string, unknown> = {};
  loop["again"] = loop;
  const cases: [name: string, methods: unknown, says: string][] = [
    ["", {}, "Cannot make contract: it has no name"],
    ["x", undefined, "methods is neither a method nor an object with methods"],
    ["x", z.string(), "methods is neither a method nor an object with"],
    ["x", method(), "methods is neither a method nor an object with"],
    ["x", { a: z.string() }, '"a" is neither a method nor an object with'],
    ["x", { a: { b: 5 } }, '"a.b" is neither a method nor an object with'],
    ["x", { a: { b: () => 1 } }, '"a.b" is neither a method nor an object'],
    ["x", { a: streamOf(z.string()) }, '"a" is neither a method nor an'],
    ["x", { a: bytes() }, '"a" is neither a method nor an object with'],
    ["x", { a: loop }, '"a.again" is neither a method nor an object with'],
  ];
  for (const [name, methods, says] of cases) {
    assertThrows(
      () => contract({ name, methods: methods as ContractMethods }),
      TypeError,
      says,
    );
  }
});

Deno.test("contract(): refuses names of methods that cannot be called", () => {
  const names = ["", "a.b", "a/b", "then", "toJSON", "toString"];
  for (const name of names) {
    for (const methods of [{ [name]: method() }, { [name]: {} }]) {
      assertThrows(
        () => contract({ name: "x", methods: { outer: methods } }),
        TypeError,
        `Cannot make contract "x": "outer.${name}" cannot be called`,
      );
    }
  }
});

test("contract(): has methods of names that remote() does not send", async (t) => {
  const api = contract({
    name: "x",
    methods: {
      name: method({ result: z.string() }),
      of: { call: method({ result: z.string() }), length: method() },
    },
  });
  const [client] = t.pair({}, {
    handler: implement(api, {
      name: () => "Ann",
      of: { call: () => "called", length: () => {} },
    }),
  });
  const service = clientOf(api, client);
  assertEquals(await service.name(), "Ann");
  assertEquals(await service.of.call(), "called");
  assertEquals(await service.of.length() as unknown, null);
});

Deno.test("method(): refuses what is no schema", () => {
  const none = {} as StandardSchema;
  assertThrows(
    () => method({ args: [z.string(), none] }),
    TypeError,
    "Cannot describe method: args[1] is neither a schema, streamOf(schema), objectOf(members) nor a method",
  );
  assertThrows(
    () => method({ args: z.string() as unknown as [StandardSchema] }),
    TypeError,
    "Cannot describe method: args is not an array",
  );
  assertThrows(
    () => method({ args: [bytes() as unknown as StandardSchema] }),
    TypeError,
    "args[0] is neither a schema, streamOf(schema), objectOf(members) nor a method",
  );
  assertThrows(
    () => method({ rest: streamOf(z.string()) as unknown as StandardSchema }),
    TypeError,
    "rest is not a schema",
  );
  assertThrows(
    () => method({ result: null as unknown as StandardSchema }),
    TypeError,
    "result is neither a schema, streamOf(schema), objectOf(members), a method nor bytes()",
  );
  assertThrows(
    () => method({ errors: { lost: none } }),
    TypeError,
    'errors["lost"] is not a schema',
  );
  assertThrows(
    () => streamOf(bytes() as unknown as StandardSchema),
    TypeError,
    "Cannot describe stream: its values are not described by a schema",
  );
});

Deno.test("contract(): keeps what it was given, and cannot be changed", () => {
  const methods = { add: method({ doc: "Adds." }), of: { pi: method() } };
  const api = contract({ name: "x", version: "1", doc: "A test.", methods });
  assertEquals(api, { name: "x", version: "1", doc: "A test.", methods });
  assertEquals(api.methods.add.doc, "Adds.");
  assertEquals([Object.isFrozen(api), Object.isFrozen(methods.add)], [
    true,
    true,
  ]);
});
