import { assertEquals } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import type { SessionOptions } from "../options.ts";
import { transportOptions } from "./endpoint.ts";

test("transportOptions(): keepAlive says when a silent connection sends a packet, and when it is lost", () => {
  const times = (keepAlive: SessionOptions["keepAlive"]) => {
    const options = transportOptions({ keepAlive });
    return [options.keepAliveInterval, options.maxIdleTimeout];
  };
  assertEquals(times({ interval: 500, timeout: 2_000 }), [500, 2_500]);
  // No packet is sent, and none is missed.
  assertEquals(times(false), [undefined, 0]);
});
