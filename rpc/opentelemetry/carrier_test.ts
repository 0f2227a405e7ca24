import { assertEquals } from "@std/assert";
import { carrierOf, traceOf } from "./carrier.ts";

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

Deno.test("traceOf(): the state of a trace travels with its parent", () => {
  for (const tracestate of ["a=1", "a=1,b=x;y", undefined]) {
    const carrier = { traceparent, ...(tracestate && { tracestate }) };
    assertEquals(carrierOf(traceOf(carrier)!), carrier);
  }
  assertEquals(traceOf({}), undefined);
  assertEquals(traceOf({ tracestate: "a=1" }), undefined);
});

Deno.test("traceOf(): a state that is too long is left out", () => {
  const tracestate = "a=" + "x".repeat(510);
  assertEquals(traceOf({ traceparent, tracestate }), traceparent);
});
