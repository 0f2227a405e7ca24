import { handlerFrom, memoryPair } from "@qtalk/qtalk";
import { traceHandlers } from "@qtalk/qtalk/opentelemetry";
import { type Span, trace, type TracerProvider } from "@opentelemetry/api";
import { assertEquals } from "@std/assert";

Deno.test("traceHandlers(): the span of a call ends with the call, and not with a channel that has others", async () => {
  const said: string[] = [];
  const unused = () => {};
  const provider: TracerProvider = {
    getTracer: () => ({
      startSpan: (name: string) =>
        ({
          setAttributes: unused,
          recordException: unused,
          setStatus: () => said.push(`${name} failed`),
          spanContext: () => ({ traceId: "", spanId: "", traceFlags: 0 }),
          end: () => said.push(`${name} ends`),
        }) as unknown as Span,
      startActiveSpan: unused as never,
    }),
  };
  trace.setGlobalTracerProvider(provider);
  const [client, server] = memoryPair();
  try {
    server.use(traceHandlers());
    server.handle("responds", async (call, respond) => {
      await respond.return(await call.receive());
    });
    server.handle("nothing", handlerFrom((_n: number) => {}));
    // After the first call, channels have several.
    for (const name of ["responds", "responds", "responds"]) {
      assertEquals(await client.call(name, 1), 1);
    }
    await client.call("nothing", [1]);
    assertEquals(await client.call("responds", 2), 2);
    const { total } = client.stats.channels;
    assertEquals(total < 5, true, `${total} channels`);
    assertEquals(said, [
      "responds ends",
      "responds ends",
      "responds ends",
      "nothing ends",
      "responds ends",
    ]);
  } finally {
    trace.disable();
    await client.close();
    await server.close();
  }
});
