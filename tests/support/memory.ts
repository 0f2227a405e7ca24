/**
 * What memory is really kept alive, as the engine counts it.
 *
 * @module
 */
import v8 from "node:v8";
import vm from "node:vm";

/** Collects all garbage now, which V8 offers only on demand. */
export function collectGarbage(): void {
  const { Bun } = globalThis as { Bun?: { gc(wait: boolean): void } };
  if (Bun !== undefined) return Bun.gc(true);
  v8.setFlagsFromString("--expose-gc");
  const gc = vm.runInNewContext("gc") as () => void;
  gc();
}

/**
 * Bytes of the array buffers that are alive in this thread; those of up to 64
 * bytes are part of the heap and not counted. Garbage is collected first, and
 * once more in a later turn, for what the first round only detached.
 */
export async function liveBuffers(): Promise<number> {
  collectGarbage();
  await new Promise((resolve) => setTimeout(resolve, 0));
  collectGarbage();
  return Deno.memoryUsage().external;
}
