/**
 * A client whose calls are traced.
 *
 * @module
 */
import { dial, handlerFrom } from "@qtalk/qtalk";
import { intercept } from "@qtalk/qtalk/middleware";
import { traceCalls, traceHandlers } from "@qtalk/qtalk/opentelemetry";
import { trace } from "@opentelemetry/api";
import type { Service } from "./server.ts";

const peer = await dial(Deno.args[0]!, {
  handler: handlerFrom({ name: () => "Ann" }),
});
peer.use(traceHandlers());
const caller = intercept(peer, traceCalls());
const api = caller.remote<Service>();
await trace.getTracer("program").startActiveSpan("request", async (span) => {
  console.log(await api.math.add(1, 2));
  console.log(await Array.fromAsync(await api.count(2)));
  console.log(await caller.call("back"));
  for (const name of ["refuse", "fail", "missing.thing"]) {
    await caller.call(name).catch((error) => console.log(error.message));
  }
  span.end();
});
await peer.call("stop");
await peer.close();
