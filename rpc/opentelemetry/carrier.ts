/** What is sent of a context: the two headers of W3C Trace Context. */
export interface Carrier {
  /** The span that is the parent. */
  traceparent?: string;
  /** What systems of tracing add. */
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
