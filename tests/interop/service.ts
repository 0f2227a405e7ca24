/**
 * The service that both sides of the interop tests serve: this is the Deno
 * mirror of go/service.go, whose opening comment is the contract. That of
 * go/ptr.go is function_service.ts.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { exit } from "node:process";
import {
  CallError,
  type Channel,
  type Handler,
  handlerFrom,
  type HandlerFunction,
  type Responder,
  Router,
} from "@qtalk/qtalk";
import { exactly, passingFunctions } from "./function_service.ts";
import { patternStream } from "./pattern.ts";
import { extendedHandler } from "./extended_cases.ts";

const DIE_BYTES = 1_000;
const DIE_STATUS = 3;
/** Milliseconds between the last bytes of `die` and the end of the process. */
const DIE_DELAY = 100;

/**
 * The option `maxValueSize` of both ends, in bytes. A case sends 1 MiB of text,
 * whose encoding is larger than the default.
 */
export const MAX_VALUE_SIZE = 4 * 2 ** 20;

/**
 * Makes the service. What it counts and keeps, such as the calls of `slow` that
 * were cancelled, it does over all connections that it is given to.
 */
export function interopService(): Handler {
  const router = new Router();
  router.handle("/", handlerFrom({ ...functions, ...passingFunctions() }));
  for (const [name, handler] of Object.entries(plainCalls())) {
    router.handle(name, handler);
  }
  for (const [name, handler] of Object.entries(channelCalls)) {
    router.handle(name, handler);
  }
  router.handle("extended.", extendedHandler());
  return router;
}

const functions = {
  Upper: exactly(1, (_call, s: string) => s.toUpperCase()),
  Add: exactly(2, (_call, a: number, b: number) => a + b),
  Fail: exactly(1, (_call, text: string) => new Error(text)),
  Error: exactly(1, (call, text: string) => {
    throw new CallError(`${text} [${call.selector}]`);
  }),
};

function plainCalls(): Record<string, HandlerFunction> {
  let cancelled = 0;
  return {
    async echo(call, respond) {
      await respond.return(await call.receive());
    },
    async multi(call, respond) {
      await call.receive();
      await respond.return(1, "two", [3]);
    },
    async none(call) {
      await call.receive();
    },
    async sum(call, respond) {
      const count = await call.receive() as number;
      let total = 0;
      for (let i = 0; i < count; i++) total += await call.receive() as number;
      await respond.return(total);
    },
    async callback(call, respond) {
      const [selector, value] = await call.receive() as [string, unknown];
      // What it throws has the text that the contract asks for.
      await respond.return(await call.caller.call(selector, value));
    },
    async slow(call, respond) {
      const ms = await call.receive() as number;
      if (await wait(ms, call.signal)) await respond.return(ms);
      else cancelled++;
    },
    async cancelled(call, respond) {
      await call.receive();
      await respond.return(cancelled);
    },
  };
}

/** Resolves to false if `signal` aborts within `ms`, to true if it does not. */
function wait(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false);
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve(true);
    }, ms);
    const onAbort = () => {
      clearTimeout(timer);
      resolve(false);
    };
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

const channelCalls: Record<string, HandlerFunction> = {
  async count(call, respond) {
    const count = await call.receive() as number;
    const channel = await respond.continue(count);
    for (let i = 0; i < count; i++) await respond.send(i);
    await channel.close();
  },
  bytes: hijack((_respond, { readable, writable }) =>
    readable.pipeTo(writable)
  ),
  sink: hijack(async (respond, channel) => {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of channel.readable) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    await respond.send({ bytes, sha256: hash.digest("hex") });
    await channel.writable.close();
  }),
  discard: hijack(async (respond, channel) => {
    let bytes = 0;
    for await (const chunk of channel.readable) bytes += chunk.length;
    await respond.send(bytes);
    await channel.writable.close();
  }),
  async source(call, respond) {
    const size = await call.receive() as number;
    const channel = await respond.continue(size);
    await patternStream(size).pipeTo(channel.writable);
    await channel.close();
  },
  die: hijack(async (_respond, channel) => {
    const { writable } = channel;
    await patternStream(DIE_BYTES).pipeTo(writable, { preventClose: true });
    // Exiting with unread input resets a TCP connection, and the bytes just
    // sent could be lost with it: gives the caller's last credits time to come.
    await new Promise((resolve) => setTimeout(resolve, DIE_DELAY));
    exit(DIE_STATUS);
  }),
};

/** A handler of what takes over the channel after a `null` response. */
function hijack(
  take: (respond: Responder, channel: Channel) => Promise<void>,
): HandlerFunction {
  return async (call, respond) => {
    await call.receive();
    const channel = await respond.continue();
    await take(respond, channel);
    await channel.close();
  };
}
