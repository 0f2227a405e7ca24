/**
 * Two transports joined. A transport that belongs to another process or worker
 * is reached through one, so that both ends of a pair can be in one place.
 *
 * @module
 */
import type { Transport } from "../../mux/types.ts";

/** Passes bytes on in both directions, and the end of each. */
export async function relay(a: Transport, b: Transport): Promise<void> {
  await Promise.all([pass(a, b), pass(b, a)]);
}

/** Passes bytes on in one direction, and then its end. */
export async function pass(from: Transport, to: Transport): Promise<void> {
  try {
    for (;;) {
      const chunk = await from.read();
      if (chunk === null) break;
      await to.write(chunk);
    }
    await to.closeWrite();
  } catch {
    // One of them was closed, or cannot end one direction: nothing to pass on.
  }
}
