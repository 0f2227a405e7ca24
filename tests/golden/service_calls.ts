/**
 * The recorded service: what answers with values.
 *
 * @module
 */
import {
  CallError,
  type Handler,
  handlerFrom,
  type HandlerFunction,
  Router,
} from "@qtalk/qtalk";
import { exactly } from "../interop/function_service.ts";
import type { ReplayClock } from "./clock.ts";

/** Its handlers by their patterns. */
export function callService(clock: ReplayClock): Record<string, Handler> {
  return {
    ...handlersOf(functions),
    ...echoes,
    ...selectors,
    async multi(call, respond) {
      await call.receive();
      await respond.return(1, "two", [3]);
    },
    async none(call) {
      await call.receive();
    },
    unread: (_call, respond) => respond.return("ok"),
    async first(call, respond) {
      await respond.return(await call.receive());
    },
    async sum(call, respond) {
      const count = await call.receive() as number;
      let sum = 0;
      for (let i = 0; i < count; i++) {
        const n = await call.receive();
        // The values have ended too early: no answer to this would arrive.
        if (n === undefined) return;
        sum += n as number;
      }
      await respond.return(sum);
    },
    async size(call, respond) {
      await respond.return((await call.receive() as string).length);
    },
    async repeat(call, respond) {
      await respond.return("x".repeat(await call.receive() as number));
    },
    async Swap(call, respond) {
      const [a, b] = await call.receive() as unknown[];
      await respond.return(b, a);
    },
    async slow(call, respond) {
      const ms = await call.receive() as number;
      await clock.sleep(ms);
      await respond.return(ms);
    },
    async turn(call, respond) {
      const [name, ms] = await call.receive() as [string, number];
      await clock.sleep(ms);
      await respond.return(name);
    },
    async twice(call, respond) {
      await call.receive();
      await respond.return("first");
      await respond.return("second");
    },
  };
}

/** A handler for each function. */
export function handlersOf(
  functions: Record<string, (...args: never[]) => unknown>,
): Record<string, Handler> {
  return Object.fromEntries(
    Object.entries(functions).map(([name, fn]) => [name, handlerFrom(fn)]),
  );
}

const functions = {
  Upper: exactly(1, (_call, s: string) => s.toUpperCase()),
  Add: exactly(2, (_call, a: number, b: number) => a + b),
  Nothing: exactly(0, () => undefined),
  Halve: exactly(1, (_call, n: number) => {
    if (n % 2 !== 0) throw new CallError(`${n} is odd`);
    return n / 2;
  }),
  Describe: exactly(1, (_call, value: unknown) => {
    const { Name, age, home } = person(value);
    return `${Name}, ${age}, of ${home.city}`;
  }),
  Older: exactly(2, (_call, value: unknown, years: number) => {
    const { age, ...others } = person(value);
    return { ...others, age: age + years };
  }),
  Fail: exactly(1, (_call, text: string) => new Error(text)),
  Error: exactly(1, (call, text: string) => {
    throw new CallError(`${text} [${call.selector}]`);
  }),
  Panic: exactly(1, (_call, text: string) => {
    throw new CallError(`panic: ${text}`);
  }),
};

/** Handlers that decode their argument, and return what they decoded. */
const echoes: Record<string, HandlerFunction> = {
  echo: echo((value) => value),
  "echo-int": echo((value) => value),
  "echo-word": echo((value) => {
    if (typeof value === "string") return value;
    throw new CallError(`expected a string, got a ${typeof value}`);
  }),
  "echo-bytes": echo((value) =>
    // JSON has bytes as text.
    typeof value === "string"
      ? Uint8Array.from(atob(value), (char) => char.charCodeAt(0))
      : value
  ),
  "echo-person": echo(person),
  "echo-time": echo((value) =>
    new Date(typeof value === "number" ? value * 1_000 : value as string)
  ),
};

function echo(decode: (value: unknown) => unknown): HandlerFunction {
  return async (call, respond) => {
    let value: unknown;
    try {
      value = decode(await call.receive());
    } catch (error) {
      throw new CallError(`argument: ${(error as Error).message}`);
    }
    await respond.return(value);
  };
}

interface Person {
  Name: string;
  age: number;
  email: string | null;
  tags?: string[];
  home: { city: string; zip: number };
  notes: unknown[] | null;
}

/** Decodes a struct as Go does: any case of letters, zero for what is missing. */
function person(value: unknown): Person {
  const field = fields(value);
  const home = fields(field("home") ?? {});
  const tags = field("tags") as string[] | undefined;
  return {
    Name: String(field("name") ?? ""),
    age: Number(field("age") ?? 0),
    email: (field("email") ?? null) as string | null,
    ...(tags === undefined ? {} : { tags }),
    home: { city: String(home("city") ?? ""), zip: Number(home("zip") ?? 0) },
    notes: (field("notes") ?? null) as unknown[] | null,
  };
}

function fields(value: unknown): (name: string) => unknown {
  const members = Object.entries(value as object);
  return (name) =>
    members.find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
}

const math = new Router();
math.handle("double", echo((n) => 2 * (n as number)));
math.handle("deep.where", where());
math.handle("any/", where());

const selectors: Record<string, Handler> = {
  "a.b.c": where(),
  "files/": where(),
  "files/special.": where("special "),
  math,
};

/** Answers with the selector as the handler sees it. */
export function where(before = ""): HandlerFunction {
  return async (call, respond) => {
    await call.receive();
    await respond.return(before + call.selector);
  };
}
