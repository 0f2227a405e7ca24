/**
 * A client whose calls are traced.
 *
 * @module
 */
import { dial, handlerFrom, withCall } from "@qtalk/qtalk";
import { intercept } from "@qtalk/qtalk/middleware";
import {
  traceCallbacks,
  traceCalls,
  traceHandlers,
} from "@qtalk/qtalk/opentelemetry";
import { context, propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import type { Service } from "./server.ts";

const peer = await dial(Deno.args[0]!, {
  handler: handlerFrom({
    name: () => "Ann",
    stateThere: withCall((call) =>
      call.trace?.split(";").slice(1).join(";") ?? null
    ),
  }),
});
peer.use(traceHandlers());
traceCallbacks(peer);
const caller = intercept(peer, traceCalls());
const api = caller.remote<Service>();
await trace.getTracer("program").startActiveSpan("request", async (span) => {
  console.log(await api.math.add(1, 2));
  console.log(await Array.fromAsync(await api.count(2)));
  console.log(await caller.call("back"));
  for (const name of ["refuse", "fail", "missing.thing"]) {
    await caller.call(name).catch((error) => console.log(error.message));
  }
  // A function that the handler calls.
  console.log(
    await api.increase((n) =>
      trace.getTracer("program").startActiveSpan("in callback", (span) => {
        span.end();
        return n + 1;
      })
    ),
  );
  // A function that the handler returns.
  {
    using next = await api.maker();
    console.log(await next());
  }
  span.end();
});
// A trace that has begun elsewhere, with a state of its own.
const elsewhere = propagation.extract(ROOT_CONTEXT, {
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  tracestate: "vendor=a;b,other=1",
});
console.log(await context.with(elsewhere, () => api.state()));
await peer.call("stop");
await peer.close();
