import {
  handlerFrom,
  listen,
  type Listener,
  type Peer,
  Router,
} from "@qtalk/qtalk";
import {
  description,
  type ReflectionOptions,
  type ServiceDescription,
  withReflection,
} from "@qtalk/qtalk/reflection";

import {
  bytes,
  contract,
  implement,
  type Implementation,
  method,
  objectOf,
  optional,
  streamOf,
} from "@qtalk/qtalk/contract";
import { z } from "./schema_libraries.ts";

const number = { schema: { type: "number" } };

/** What the service says of its group `math`, as a contract does. */
const MATH: ServiceDescription = {
  methods: [
    {
      selector: "add",
      kind: "unary",
      doc: "The sum of two numbers.",
      args: [number, number],
      result: number,
      errors: { "too-large": { schema: { type: "integer" } } },
    },
    {
      selector: "count",
      kind: "stream",
      doc: "Counts up to a number.",
      args: [{ schema: { type: "integer", minimum: 0 } }],
      result: { schema: { type: "integer" } },
    },
  ],
};

/** Listens with a service of which some methods are described by schemas. */
export async function serveDescribed(
  options: ReflectionOptions = {},
): Promise<Listener<Peer>> {
  const math = handlerFrom({
    add: (a: number, b: number) => a + b,
    async *count(to: number) {
      for (let n = 1; n <= to; n++) yield n;
    },
  });
  const router = new Router();
  router.handle("math.", Object.assign(math, { [description]: () => MATH }));
  router.handle("", handlerFrom({ Upper: (s: string) => s.toUpperCase() }));
  return await listen("tcp://127.0.0.1:0", {
    handler: withReflection(router, {
      name: "calculator",
      version: "1.2",
      doc: "Calculates, and counts.",
      ...options,
    }),
  });
}

/** A contract whose methods take and return functions and streams. */
const TABLES = contract({
  name: "tables",
  methods: {
    each: method({
      args: [
        z.int(),
        method({ args: [z.int(), z.string().optional()], result: z.string() }),
        optional(method({ doc: "Called at the end." })),
      ],
      doc: "Calls a function for each number.",
    }),
    copy: method({
      args: [objectOf({
        rows: streamOf(z.int()),
        rename: method({ args: [z.int()], result: streamOf(z.string()) }),
        onEnd: optional(method({ args: [z.int()] })),
      })],
      result: streamOf(z.string()),
    }),
    cursor: method({
      args: [z.int()],
      result: objectOf({
        size: z.int(),
        next: method({ result: z.int() }),
        open: method({ result: bytes() }),
      }),
    }),
    counter: method({
      result: method({
        args: [method({ args: [z.int()], result: z.int() })],
        result: method({ result: z.int() }),
      }),
    }),
  },
});

const tables: Implementation<typeof TABLES["methods"]> = {
  async each(to, fn, onEnd) {
    for (let n = 0; n < to; n++) await fn(n);
    await onEnd?.();
  },
  async *copy({ rows, rename, onEnd }) {
    let count = 0;
    for await (const row of rows) {
      count++;
      yield* rename(row);
    }
    await onEnd?.(count);
  },
  cursor(size) {
    let n = 0;
    return { size, next: () => ++n, open: () => new TransformStream() };
  },
  counter() {
    let n = 0;
    return async (map) => {
      n = await map(n);
      return () => n;
    };
  },
};

/** Listens with a service whose contract describes functions and streams in values. */
export async function serveCallbacks(): Promise<Listener<Peer>> {
  return await listen("tcp://127.0.0.1:0", {
    handler: withReflection(implement(TABLES, tables)),
  });
}
