/**
 * What happens in sessions: frames, channels and calls with their values, for the
 * option `observer` of `dial()`, `listen()` and others. The events are read from
 * the bytes that pass, so they show what both ends have really sent, and a session
 * without an observer costs nothing extra. If you need to see only calls,
 * middleware and interceptors cost less.
 *
 * @example
 * ```ts
 * import { dial, handlerFrom, listen } from "@qtalk/qtalk";
 * import { observe } from "@qtalk/qtalk/observe";
 * import { assertEquals } from "@std/assert";
 *
 * const lines: string[] = [];
 * const observer = observe((event) => {
 *   if (event.type === "call") lines.push(`${event.by} calls ${event.call.selector}`);
 *   if (event.type === "answer") lines.push(`${event.by} answers ${event.value?.value}`);
 * });
 * await using listener = await listen("tcp://127.0.0.1:0", {
 *   handler: handlerFrom({ add: (a: number, b: number) => a + b }),
 * });
 * await using peer = await dial(listener.addr, { observer });
 * await peer.call("add", [1, 2]);
 * assertEquals(lines, ["near calls add", "far answers 3"]);
 * ```
 *
 * @module
 */
export type {
  End,
  FrameName,
  ObservedAnswer,
  ObservedBase,
  ObservedBytes,
  ObservedCall,
  ObservedCallEnd,
  ObservedCallStart,
  ObservedChannel,
  ObservedChannelState,
  ObservedDirection,
  ObservedEvent,
  ObservedFrame,
  ObservedFurtherValue,
  ObservedSession,
  ObservedTrailer,
  ObservedValue,
  OnEvent,
} from "./observe/events.ts";
export type {
  ObserveOptions,
  Observer,
  ObserverOption,
} from "./observe/option.ts";
export { observe } from "./observe/observed_transport.ts";
