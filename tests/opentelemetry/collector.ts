/**
 * A collector of OTLP over HTTP, in JSON.
 *
 * @module
 */

/** An attribute, as OTLP has it. */
interface Attribute {
  key: string;
  value: { stringValue?: string; intValue?: string | number };
}

/** A span that was exported. */
export interface CollectedSpan {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  /** 1 internal, 2 server, 3 client. */
  kind: number;
  /** 2 for an error. */
  status: number;
  attributes: Record<string, string>;
  /** The name of the program. */
  program: string;
}

/** A figure that was exported: a point of a histogram. */
export interface CollectedPoint {
  name: string;
  count: number;
  attributes: Record<string, string>;
}

interface Resource {
  resource: { attributes: Attribute[] };
}

interface Traces {
  resourceSpans: (Resource & {
    scopeSpans: {
      spans: (Omit<CollectedSpan, "attributes" | "status" | "program"> & {
        attributes?: Attribute[];
        status?: { code?: number };
      })[];
    }[];
  })[];
}

interface Metrics {
  resourceMetrics: (Resource & {
    scopeMetrics: {
      metrics: {
        name: string;
        histogram?: {
          dataPoints: { count: string | number; attributes?: Attribute[] }[];
        };
      }[];
    }[];
  })[];
}

/** Receives what programs export. */
export class Collector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  readonly points: CollectedPoint[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  /** Starts a collector on a free port. */
  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async (request) => {
        const { pathname } = new URL(request.url);
        const body = await request.json();
        if (pathname === "/v1/traces") this.#addSpans(body as Traces);
        else if (pathname === "/v1/metrics") this.#addPoints(body as Metrics);
        return Response.json({});
      },
    );
  }

  /** The variables that make Deno export to it. */
  env(program: string): Record<string, string> {
    const { port } = this.#server.addr;
    return {
      OTEL_DENO: "true",
      OTEL_SERVICE_NAME: program,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  #addSpans({ resourceSpans }: Traces): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      const program = plain(resource.attributes)["service.name"] ?? "";
      for (const { spans } of scopeSpans) {
        for (const span of spans) {
          this.spans.push({
            ...span,
            parentSpanId: span.parentSpanId ?? "",
            status: span.status?.code ?? 0,
            attributes: plain(span.attributes),
            program,
          });
        }
      }
    }
  }

  #addPoints({ resourceMetrics }: Metrics): void {
    for (const { scopeMetrics } of resourceMetrics) {
      for (const { metrics } of scopeMetrics) {
        for (const { name, histogram } of metrics) {
          for (const { count, attributes } of histogram?.dataPoints ?? []) {
            this.points.push({
              name,
              count: Number(count),
              attributes: plain(attributes),
            });
          }
        }
      }
    }
  }
}

function plain(attributes: Attribute[] = []): Record<string, string> {
  return Object.fromEntries(attributes.map(({ key, value }) => [
    key,
    String(value.stringValue ?? value.intValue ?? JSON.stringify(value)),
  ]));
}
