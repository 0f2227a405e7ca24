import {
  type Context,
  createContextKey,
  type Span,
  trace,
} from "@opentelemetry/api";

/** The part of a context that is sent: the two headers of W3C Trace Context. */
export interface Carrier {
  /** The span that is the parent. */
  traceparent?: string;
  /** What tracing systems add. */
  tracestate?: string;
}

/** The most characters that the trace context of a call can have. */
const MAX_SIZE = 512;
const SEPARATOR = ";";

/**
 * The trace context of a call: `traceparent`, and after a semicolon `tracestate`, if
 * there is one, and room for it.
 */
export function traceOf(carrier: Carrier): string | undefined {
  const { traceparent, tracestate } = carrier;
  if (traceparent === undefined || !tracestate) return traceparent;
  const both = `${traceparent}${SEPARATOR}${tracestate}`;
  return both.length > MAX_SIZE ? traceparent : both;
}

/** What the trace context of a call was made of. */
export function carrierOf(trace: string): Carrier {
  const at = trace.indexOf(SEPARATOR);
  return at < 0
    ? { traceparent: trace }
    : { traceparent: trace.slice(0, at), tracestate: trace.slice(at + 1) };
}

/** The key, in a context, of the state of its trace. */
const STATE = createContextKey("qtalk.tracestate");

interface State {
  readonly traceId: string;
  readonly tracestate: string;
}

/**
 * A context with a span in it. Some providers, such as Deno's, make spans without
 * the state of the trace that they belong to: it is kept beside the span.
 *
 * @param parent what the span was made in
 * @param span the span
 */
export function contextOf(parent: Context, span: Span): Context {
  const active = trace.setSpan(parent, span);
  const before = trace.getSpanContext(parent);
  const tracestate = before?.traceState?.serialize();
  return before === undefined || !tracestate ? active : active.setValue(
    STATE,
    { traceId: before.traceId, tracestate } satisfies State,
  );
}

/** Adds the state of a trace to a context that has only its parent. */
export function addState(carrier: Carrier, active: Context): void {
  if (carrier.tracestate || carrier.traceparent === undefined) return;
  const state = active.getValue(STATE) as State | undefined;
  // Another trace may have begun since.
  if (
    state !== undefined &&
    state.traceId === trace.getSpanContext(active)?.traceId
  ) carrier.tracestate = state.tracestate;
}
