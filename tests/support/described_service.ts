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
