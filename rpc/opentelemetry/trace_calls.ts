import { context, propagation } from "@opentelemetry/api";
import type { Interceptor } from "../middleware/mod.ts";
import { addState, type Carrier, contextOf, traceOf } from "./carrier.ts";
import { Instruments } from "./instruments.ts";

/**
 * Makes an interceptor that makes a span of each call, with the active span as its
 * parent, and adds its time in seconds to the histogram `rpc.client.call.duration`.
 * Without a registered provider, it records nothing. The context of the span is
 * sent with the call, so the span of the handler is its child, if the peer uses
 * `traceHandlers()`. The span of a stream ends when the stream ends.
 */
export function traceCalls(): Interceptor {
  const instruments = new Instruments("client");
  return async ({ selector, options }, next) => {
    const measured = instruments.begin(selector);
    const active = contextOf(context.active(), measured.span);
    const carrier: Carrier = {};
    propagation.inject(active, carrier);
    addState(carrier, active);
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
