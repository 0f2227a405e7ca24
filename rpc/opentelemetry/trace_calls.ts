import { context, propagation, trace } from "@opentelemetry/api";
import type { Interceptor } from "../middleware/mod.ts";
import { Instruments } from "./instruments.ts";

/**
 * Makes an interceptor that makes a span of each call, with the active span as its
 * parent, and adds its time in milliseconds to the histogram `rpc.client.duration`.
 * It makes nothing without a registered provider. The context of the span
 * goes with the call, so the span of its handler is a child of it, if the peer has
 * `traceHandlers()`. A stream ends its span when it ends.
 */
export function traceCalls(): Interceptor {
  const instruments = new Instruments("client");
  return async ({ selector, options }, next) => {
    const measured = instruments.begin(selector);
    const active = trace.setSpan(context.active(), measured.span);
    const carrier: { traceparent?: string } = {};
    propagation.inject(active, carrier);
    const { traceparent } = carrier;
    const changes = traceparent === undefined
      ? undefined
      : { options: { ...options, trace: traceparent } };
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
