/**
 * One source of values for many subscribers, where slow ones do not delay the
 * others. It has its own subpath, so programs that do not use it do not load it.
 *
 * @example
 * ```ts
 * import { fanOut } from "@qtalk/qtalk/fan-out";
 * import { assertEquals } from "@std/assert";
 *
 * async function* source() {
 *   yield* [1, 2, 3];
 * }
 * using numbers = fanOut(source());
 * const [first, second] = [numbers.subscribe(), numbers.subscribe()];
 * assertEquals(await Array.fromAsync(first), [1, 2, 3]);
 * assertEquals(await Array.fromAsync(second), [1, 2, 3]);
 * ```
 *
 * @module
 */
export { fanOut } from "./fan_out.ts";
export {
  DEFAULT_FAN_OUT_OPTIONS,
  type FanOut,
  type FanOutOptions,
  type FanOutSource,
  type SubscribeOptions,
  type WhenFull,
} from "./types.ts";
