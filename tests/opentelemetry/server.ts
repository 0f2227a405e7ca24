/**
 * A server whose calls are traced. It prints its address, and ends when a client calls
 * `stop`.
 *
 * @module
 */
import {
  type Call,
  type Callback,
  CallError,
  handlerFrom,
  listen,
  withCall,
} from "@qtalk/qtalk";
import { intercept } from "@qtalk/qtalk/middleware";
import {
  traceCallbacks,
  traceCalls,
  traceHandlers,
} from "@qtalk/qtalk/opentelemetry";
import { trace } from "@opentelemetry/api";

const tracer = trace.getTracer("program");

/** A span of the program itself, within a handler. */
function work(name: string): Promise<void> {
  return tracer.startActiveSpan(name, async (span) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    span.end();
  });
}

const service = {
  math: {
    async add(a: number, b: number) {
      await work("adding");
      return a + b;
    },
  },
  async *count(n: number) {
    for (let i = 1; i <= n; i++) {
      await work(`counting ${i}`);
      yield i;
    }
  },
  refuse() {
    throw new CallError("Not today", { code: "unavailable-today" });
  },
  fail() {
    throw new TypeError("A bug");
  },
  // The caller's own function, in the same trace.
  back: withCall((call: Call) =>
    intercept(call.caller, traceCalls()).call("name")
  ),
  increase: async (fn: Callback<(n: number) => number>) => await fn(1),
  maker: () => () => "made",
  // The state of the trace, here and where the handler calls.
  state: withCall(async (call: Call) => {
    const here = call.trace?.split(";").slice(1).join(";");
    const there = await intercept(call.caller, traceCalls()).call("stateThere");
    return `${here} ${there}`;
  }),
};

/** The service, for the types of its client. */
export type Service = typeof service;

const stop = Promise.withResolvers<void>();
const listener = await listen("tcp://127.0.0.1:0", {
  handler: handlerFrom({ ...service, stop: () => stop.resolve() }),
  onPeer(peer) {
    peer.use(traceHandlers());
    traceCallbacks(peer);
  },
  onError() {},
});
console.log(listener.addr);
await stop.promise;
await listener.close({ drainTimeout: 1_000 });
