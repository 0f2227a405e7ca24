import {
  type Call,
  type Handler,
  handlerFrom,
  type Responder,
  type Router,
  withCall,
} from "@qtalk/qtalk";
import { assertExists, assertThrows } from "@std/assert";
import {
  assertNotType,
  assertType,
  type Assignable,
  type Equal,
} from "./assert_type.ts";

Deno.test("Handler: a function that returns its answer is refused, since the answer would be lost", () => {
  assertNotType<Assignable<() => string, Handler>>();
  assertNotType<Assignable<() => Promise<string>, Handler>>();
  assertNotType<Assignable<(call: Call) => number, Handler>>();
  assertNotType<Assignable<{ respond: () => string }, Handler>>();
  // @ts-expect-error -- as it is written in a program
  const _handler: Handler = () => "pong";
});

Deno.test("Handler: functions that respond and objects with respond() are handlers", () => {
  assertType<Assignable<() => void, Handler>>();
  assertType<Assignable<() => Promise<void>, Handler>>();
  assertType<Assignable<(call: Call, respond: Responder) => void, Handler>>();
  assertType<Assignable<Router, Handler>>();
  assertType<Equal<ReturnType<typeof handlerFrom>, Handler>>();
  const _handlers: Handler[] = [
    (_call, respond) => respond.return(1),
    async (_call, respond) => {
      await respond.continue();
    },
    (_call, respond) => void respond.return(),
  ];
});

Deno.test("withCall(): takes the call out of the type of a function", () => {
  const one = withCall((call, text: string) => text + call.selector);
  assertType<Equal<typeof one, (text: string) => string>>();

  const none = withCall((call) => call.selector);
  assertType<Equal<typeof none, () => string>>();

  const later = withCall(async (call, n: number) => {
    await call.receive();
    return [n] as const;
  });
  assertType<
    Equal<typeof later, (n: number) => Promise<readonly [number]>>
  >();
});

Deno.test("withCall(): keeps a parameter with a default optional", () => {
  const written = (call: Call, a: number, b = "default") =>
    call.selector + a + b;
  const fromWritten = withCall(written);
  assertType<Equal<typeof fromWritten, (a: number, b?: string) => string>>();

  // deno-lint-ignore no-inferrable-types -- without it, it is unknown here
  const inline = withCall((_call, a: number, b: string = "default") => a + b);
  assertType<Equal<typeof inline, (a: number, b?: string) => string>>();
});

Deno.test("withCall(): gives its function the call", () => {
  withCall((call) => {
    assertType<Equal<typeof call, Call>>();
  });
  // @ts-expect-error -- the first parameter is the call, whatever it is called
  withCall((text: string) => text);
});

Deno.test("withCall(): a service of such functions has the methods that its callers see", () => {
  const service = {
    plain: (a: number) => a,
    called: withCall((_call, a: number) => String(a)),
  };
  assertType<
    Equal<typeof service, {
      plain: (a: number) => number;
      called: (a: number) => string;
    }>
  >();
});

Deno.test("handlerFrom(): takes functions and objects, and nothing else", () => {
  assertExists(handlerFrom(() => {}));
  assertExists(handlerFrom({ a: () => {} }));
  assertExists(handlerFrom(new Map(), { methods: [] }));
  // @ts-expect-error -- text has no methods of a program's own
  const fromText = () => handlerFrom("text");
  // @ts-expect-error -- nothing has none at all
  const fromNull = () => handlerFrom(null);
  assertThrows(fromText, TypeError);
  assertThrows(fromNull, TypeError);
});
