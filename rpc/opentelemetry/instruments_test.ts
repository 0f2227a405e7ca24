import type { Histogram, Span } from "@opentelemetry/api";
import { assertEquals } from "@std/assert";
import { MeasuredCall } from "./instruments.ts";

for (const name of ["name", "message", "stack"]) {
  Deno.test(`MeasuredCall.fail: the span of an error whose ${name} throws ends`, () => {
    const calls: string[] = [];
    const span = {
      setAttributes() {},
      recordException() {},
      setStatus() {},
      end: () => calls.push("end"),
    } as unknown as Span;
    const duration = {
      record: () => calls.push("record"),
    } as unknown as Histogram;
    const error = new Error("text");
    Object.defineProperty(error, name, {
      get() {
        throw new Error("no");
      },
    });
    new MeasuredCall(span, duration, "x", "client").fail(error);
    assertEquals(calls, ["record", "end"]);
  });
}
