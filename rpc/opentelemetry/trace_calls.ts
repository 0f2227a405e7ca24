import { context, propagation, trace } from "@opentelemetry/api";
import type { Interceptor } from "../middleware/mod.ts";
import { type Carrier, traceOf } from "./carrier.ts";
import { Instruments } from "./instruments.ts";

/**
 * Makes an interceptor that makes a span of each call, with the active span as its
 * parent, and adds its time in seconds to the histogram `rpc.client.call.duration`.
 * It makes nothing without a registered provider. The context of the span
 * goes with the call, so the span of its handler is a child of it, if the peer has
 * `traceHandlers()`. A stream ends its span when it ends.
 */
export function traceCalls(): Interceptor {
  const instruments = new Instruments("client");
  return async ({ selector, options }, next) => {
    const measured = instruments.begin(selector);
    const active = trace.setSpan(context.active(), measured.span);
    const carrier: Carrier = {};
    propagation.inject(active, carrier);
    const carried = traceOf(carrier);
    const changes = carried === undefined
      ? undefined
      : { options: { ...options, trace: carried } };
    try {
      const response = await context.with(active, () => next(changes));
      if (response.channel === undefined) measured.succeed();
      else response.channel.closed.then(measured.succeed, measured.fail);
      return response;
    } catch (error) {
      measured.fail(error);
      throw error;
    }
  };
}
