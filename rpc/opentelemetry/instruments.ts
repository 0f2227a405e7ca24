import {
  type Attributes,
  type Context,
  type Histogram,
  metrics,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { CallError, RemoteError } from "../errors.ts";
import {
  attempt,
  errorCode,
  errorText,
  legible,
} from "../wire/headers/error_header.ts";
import { cleanSelector } from "../wire/selector.ts";

/** The name of this library among those that make spans. */
const LIBRARY = "@qtalk/qtalk";
/**
 * The name for methods that do not exist, of which callers can invent any number.
 */
const OTHER = "_OTHER";

/** Which side of a call is measured. */
export type Side = "client" | "server";

/** The instruments with which a side makes its spans and figures. */
export class Instruments {
  readonly #tracer: Tracer;
  readonly #duration: Histogram;
  readonly #side: Side;

  /** Makes the instruments of a side, with the providers that are registered. */
  constructor(side: Side) {
    this.#side = side;
    this.#tracer = trace.getTracer(LIBRARY);
    this.#duration = metrics.getMeter(LIBRARY).createHistogram(
      `rpc.${side}.call.duration`,
      {
        description: side === "client"
          ? "How long calls of this side take, streams to their end"
          : "How long calls of peers take, streams to their end",
        unit: "s",
      },
    );
  }

  /** Begins to measure a call. */
  begin(
    selector: string,
    more: Attributes = {},
    parent?: Context,
  ): MeasuredCall {
    const method = methodOf(selector);
    const attributes = { ...attributesOf(method), ...more };
    const kind = this.#side === "client" ? SpanKind.CLIENT : SpanKind.SERVER;
    const span = this.#tracer.startSpan(method, { kind, attributes }, parent);
    return new MeasuredCall(span, this.#duration, method, this.#side);
  }
}

/** A call that is being measured. */
export class MeasuredCall {
  /** Its span. */
  readonly span: Span;
  readonly #duration: Histogram;
  readonly #method: string;
  readonly #side: Side;
  readonly #begun = performance.now();
  #ended = false;

  /** {@linkcode Instruments.begin} makes one. */
  constructor(span: Span, duration: Histogram, method: string, side: Side) {
    this.span = span;
    this.#duration = duration;
    this.#method = method;
    this.#side = side;
  }

  /** The call has ended, with a result. */
  readonly succeed = (): void => {
    this.#end(attributesOf(this.#method));
  };

  /** The call has failed. */
  readonly fail = (thrown: unknown): void => {
    if (this.#ended) return;
    const { span } = this;
    const error = legible(thrown);
    const type = typeOf(error);
    const code = codeOf(error);
    const failed: Attributes = {
      "error.type": type,
      ...(code !== undefined && { "rpc.response.status_code": code }),
    };
    span.setAttributes(failed);
    const text = errorText(error);
    if (this.#side === "client" || !isAnswer(error)) {
      span.recordException(
        error instanceof Error
          ? { name: nameOf(error), message: text, ...stackOf(error) }
          : text,
      );
      span.setStatus({ code: SpanStatusCode.ERROR, message: text });
    }
    let method = this.#method;
    if (this.#side === "server" && type === "not-found") {
      // Figures are kept for each combination of attributes.
      span.setAttributes({
        "rpc.method": OTHER,
        "rpc.method_original": method,
      });
      method = OTHER;
      span.updateName(OTHER);
    }
    this.#end({ ...attributesOf(method), ...failed });
  };

  #end(attributes: Attributes): void {
    if (this.#ended) return;
    this.#ended = true;
    const seconds = (performance.now() - this.#begun) / 1_000;
    this.#duration.record(seconds, attributes);
    this.span.end();
  }
}

/** The full name of the method that a selector calls, such as `math/add`. */
function methodOf(selector: string): string {
  const path = cleanSelector(selector).slice(1);
  // A function that was passed as an argument has an ID of its own in each call.
  return /^_[\w~-]{19}$/.test(path) ? "callback" : path || "/";
}

function attributesOf(method: string): Attributes {
  return { "rpc.system.name": "qtalk", "rpc.method": method };
}

/** The code of an error, or else its name. */
function typeOf(error: unknown): string {
  return error instanceof Error ? codeOf(error) ?? nameOf(error) : OTHER;
}

function codeOf(error: unknown): string | undefined {
  return errorCode(error) || undefined;
}

/** Whether an error of a handler is meant for its caller. */
function isAnswer(error: unknown): boolean {
  return error instanceof CallError || error instanceof RemoteError;
}

// The getters of an error may throw, and its span must end all the same.

function nameOf(error: Error): string {
  return attempt(() => error.name) ?? "Error";
}

function stackOf(error: Error): { stack?: string } {
  const stack = attempt(() => error.stack);
  return stack === undefined ? {} : { stack };
}
