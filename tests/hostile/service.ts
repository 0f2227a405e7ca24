/**
 * The service of the server under attack: a method for every kind of attack.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import type { Call, Handler } from "../../mod.ts";
import type { Library } from "./library.ts";

/** What `big` answers with. */
const BIG = "x".repeat(1_000_000);
/** What `rows` streams. */
const ROW = "x".repeat(64 * 1024);

/** Bytes that `gulp` takes: enough for windows to grow. */
export const GULP = 16 * 1024 * 1024;

/** A service that extends Node's `EventEmitter`. */
class Bus extends EventEmitter {
  hello(): string {
    return "hello";
  }
}

/** Resolves when the caller has given the call up. */
function givenUp({ signal }: Call): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Makes the handler for the service and its rule. */
export function makeHandler(library: Library): Handler {
  const { handlerFrom, Router, withCall, withStream } = library;
  const service = {
    ping: () => "pong",
    echo: (value: unknown) => value,
    /** Takes any value. */
    sink: (_value: unknown) => null,
    /** Holds its argument until the caller gives up. */
    hang: withCall(async (call: Call, value: unknown) => {
      await givenUp(call);
      return typeof value;
    }),
    /** Never settles, even when its caller gives up. */
    deaf: () => new Promise<never>(() => {}),
    big: () => BIG,
    async *rows() {
      for (;;) yield ROW;
    },
    async *count(to: number) {
      for (let n = 1; n <= to; n++) yield n;
    },
    /** Takes three of the values that are streamed to it. */
    three: withStream(async (values: AsyncIterable<unknown>) => {
      let taken = 0;
      for await (const _ of values) if (++taken === 3) break;
      return taken;
    }),
    /** Gives back what is streamed to it. */
    streamed: withStream(async function* (values: AsyncIterable<unknown>) {
      yield* values;
    }),
    /** Streams, and takes nothing of what is streamed to it. */
    unheard: withStream(async function* (_values: AsyncIterable<unknown>) {
      for (;;) yield ROW;
    }),
    /** Counts the values that are streamed to it. */
    all: withStream(async (values: AsyncIterable<unknown>) => {
      let taken = 0;
      for await (const _ of values) taken++;
      return taken;
    }),
    /** Answers with a function, late enough to be given up before. */
    makeFunction: async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return () => 1;
    },
    makeFunctionNow: () => () => 1,
    /** Calls its caller back. */
    ask: withCall((call: Call) => call.caller.call("answer")),
    /** Gives back the bytes that it gets. */
    bytes: () => new TransformStream<Uint8Array, Uint8Array>(),
    /** Takes bytes as fast as they come, and then none. */
    gulp: () => {
      let left = GULP;
      return {
        readable: new ReadableStream<Uint8Array>(),
        writable: new WritableStream<Uint8Array>({
          write: ({ length }) =>
            (left -= length) > 0 ? undefined : new Promise(() => {}),
        }),
      };
    },
    admin: {
      stop: () => "stopped",
      status: () => "running",
    },
    bus: new Bus(),
  };
  const router = new Router();
  router.handle("/", handlerFrom(service));
  // The rule that the attack `selectors` tries to bypass.
  router.handle("admin.stop", (_call, respond) => {
    void respond.return(new Error("forbidden"));
  });
  return router;
}
