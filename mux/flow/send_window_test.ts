import { assertEquals, assertThrows } from "@std/assert";
import { InvariantError, MuxError } from "../errors.ts";
import { SendWindow } from "./send_window.ts";

Deno.test("SendWindow: credit is what was granted minus what was taken", () => {
  const window = new SendWindow();
  assertEquals(window.credit, 0);
  window.grant(100);
  window.take(30);
  window.grant(0);
  window.grant(5);
  assertEquals(window.credit, 75);
});

Deno.test("SendWindow: may reach 2^32 - 1", () => {
  const window = new SendWindow();
  window.grant(2 ** 32 - 2);
  window.grant(1);
  assertEquals(window.credit, 2 ** 32 - 1);
  window.take(10);
  window.grant(10);
  assertEquals(window.credit, 2 ** 32 - 1);
});

Deno.test("SendWindow: a grant past 2^32 - 1 is a protocol error and is not added", () => {
  const window = new SendWindow();
  window.grant(2 ** 32 - 1);
  const error = assertThrows(
    () => window.grant(1),
    MuxError,
    "received WINDOW_ADJUST by 1 for a window of 4294967295, which exceeds 2^32 - 1",
  );
  assertEquals(error.code, "protocol-error");
  assertEquals(window.credit, 2 ** 32 - 1);
});

Deno.test("SendWindow: take() beyond the credit breaks an invariant and takes nothing", () => {
  const window = new SendWindow();
  window.grant(10);
  window.take(7);
  assertThrows(
    () => window.take(4),
    InvariantError,
    "Cannot send 4 bytes: the send window has 3",
  );
  assertEquals(window.credit, 3);
  window.take(3);
  assertEquals(window.credit, 0);
});
