import { assertEquals } from "@std/assert";
import type { Session, SessionUsage } from "../../mux/mod.ts";

/**
 * Asserts how many channels and slots a session uses; without any, it may hold
 * no windows, no values and nothing for channels either.
 */
export function assertUsage(
  session: Session,
  expected: Omit<SessionUsage, "held">,
): void {
  const { channels, slots, held } = session.usage;
  assertEquals({ channels, slots }, expected);
  if (slots > 0) return;
  assertEquals([held.windows, held.values], [0, 0], "bytes are held");
  if (channels === 0) assertEquals(held.channels, 0, "channels are counted");
}
