import type { Codec } from "@qtalk/qtalk";
import v8 from "node:v8";
import vm from "node:vm";

/** The cost of decoding a value. */
export interface Cost {
  /** Milliseconds: the shortest of a few times. */
  ms: number;
  /** Bytes that are alive beside the encoded value; 0 if it is refused. */
  alive: number;
}

function decode(codec: Codec, bytes: Uint8Array): unknown {
  try {
    return codec.decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Makes a function that collects garbage and returns the bytes alive. (Unlike
 * `collectGarbage()` of `tests/support`, it does not make a context each time.)
 */
export function liveCounter(): () => number {
  v8.setFlagsFromString("--expose-gc");
  const gc = vm.runInNewContext("gc") as () => void;
  return () => {
    gc();
    const { heapUsed, external } = Deno.memoryUsage();
    return heapUsed + external;
  };
}

/** Decodes several times; returns the shortest time in milliseconds. */
export function timeOf(codec: Codec, bytes: Uint8Array, times: number): number {
  let shortest = Infinity;
  for (let i = 0; i < times; i++) {
    const begun = performance.now();
    decode(codec, bytes);
    shortest = Math.min(shortest, performance.now() - begun);
  }
  return shortest;
}

/** Measures the bytes that a decoded value keeps alive. */
export function weightOf(
  codec: Codec,
  bytes: Uint8Array,
  live: () => number,
): number {
  const before = live();
  const value = decode(codec, bytes);
  const after = live();
  // This reference keeps the value alive until now.
  return value === undefined ? 0 : Math.max(0, after - before);
}
