import { nextTurn } from "../flow/turns.ts";
import type { Transport } from "../types.ts";

/**
 * Drops what the other end sends until it ends. Between two reads, the event loop turns:
 * bytes that are always ready would keep everything else waiting.
 */
export async function readToEnd(transport: Transport): Promise<void> {
  while (await transport.read() !== null) await nextTurn();
}
