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
import { CallError, errorText, RemoteError } from "../errors.ts";
import { cleanSelector } from "../wire/selector.ts";

/** The name of this library among those that make spans. */
const LIBRARY = "@qtalk/qtalk";
/** What stands for methods that do not exist: anyone can invent any number. */
const OTHER = "_OTHER";

/** Which side of a call is measured. */
export type Side = "client" | "server";

/** What a side makes its spans and figures with. */
export class Instruments {
  readonly #tracer: Tracer;
  readonly #duration: Histogram;
  readonly #side: Side;

  /** Makes the instruments of a side, with the providers that are registered. */
  constructor(side: Side) {
    this.#side = side;
    this.#tracer = trace.getTracer(LIBRARY);
    this.#duration = metrics.getMeter(LIBRARY).createHistogram(
      `rpc.${side}.duration`,
      {
        description: side === "client"
          ? "How long calls of this side take, streams to their end"
          : "How long calls of peers take, streams to their end",
        unit: "ms",
      },
    );
  }

  /** Begins to measure a call. */
  begin(
    selector: string,
    more: Attributes = {},
    parent?: Context,
  ): MeasuredCall {
    const names = namesOf(selector);
    const attributes = { ...attributesOf(names), ...more };
    const kind = this.#side === "client" ? SpanKind.CLIENT : SpanKind.SERVER;
    const name = names.service === undefined
      ? names.method
      : `${names.service}/${names.method}`;
    const span = this.#tracer.startSpan(name, { kind, attributes }, parent);
    return new MeasuredCall(span, this.#duration, names, this.#side);
  }
}

/** A call that is being measured. */
export class MeasuredCall {
  /** Its span. */
  readonly span: Span;
  readonly #duration: Histogram;
  readonly #names: Names;
  readonly #side: Side;
  readonly #begun = performance.now();
  #ended = false;

  /** {@linkcode Instruments.begin} makes one. */
  constructor(span: Span, duration: Histogram, names: Names, side: Side) {
    this.span = span;
    this.#duration = duration;
    this.#names = names;
    this.#side = side;
  }

  /** The call has ended, with a result. */
  readonly succeed = (): void => {
    this.#end(attributesOf(this.#names));
  };

  /** The call has failed. */
  readonly fail = (error: unknown): void => {
    if (this.#ended) return;
    const { span } = this;
    const type = typeOf(error);
    span.setAttribute("error.type", type);
    const text = errorText(error);
    if (this.#side === "client" || !isAnswer(error)) {
      span.recordException(
        error instanceof Error
          ? { name: error.name, message: text, ...stackOf(error) }
          : text,
      );
      span.setStatus({ code: SpanStatusCode.ERROR, message: text });
    }
    let names = this.#names;
    if (this.#side === "server" && type === "not-found") {
      // Figures are kept for each combination of attributes.
      names = { service: undefined, method: OTHER };
      span.updateName(OTHER);
    }
    this.#end({ ...attributesOf(names), "error.type": type });
  };

  #end(attributes: Attributes): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#duration.record(performance.now() - this.#begun, attributes);
    this.span.end();
  }
}

/** A selector as a service and a method. */
interface Names {
  readonly service: string | undefined;
  readonly method: string;
}

function namesOf(selector: string): Names {
  const path = cleanSelector(selector).slice(1);
  // A function that was passed as an argument has an ID of its own in each call.
  if (/^_[\w~-]{19}$/.test(path)) {
    return { service: undefined, method: "callback" };
  }
  const at = path.lastIndexOf("/");
  return {
    service: at < 0 ? undefined : path.slice(0, at).replaceAll("/", "."),
    method: path.slice(at + 1) || "/",
  };
}

function attributesOf({ service, method }: Names): Attributes {
  return {
    "rpc.system": "qtalk",
    ...(service !== undefined && { "rpc.service": service }),
    "rpc.method": method,
  };
}

/** The code of an error, or else its name. */
function typeOf(error: unknown): string {
  if (!(error instanceof Error)) return OTHER;
  const { code } = error as { code?: unknown };
  return typeof code === "string" && code !== "" ? code : error.name;
}

/** Whether a handler throws an error because the caller is to get it. */
function isAnswer(error: unknown): boolean {
  return error instanceof CallError || error instanceof RemoteError;
}

function stackOf({ stack }: Error): { stack?: string } {
  return stack === undefined ? {} : { stack };
}
