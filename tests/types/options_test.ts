import type {
  BackoffOptions,
  CallOptions,
  CloseOptions,
  CodecOptions,
  ConnectOptions,
  DialCommandOptions,
  DialOptions,
  ForwardOptions,
  HandlerFromOptions,
  JsonOptions,
  ListenerOptions,
  ListenOptions,
  ListenSchemeOptions,
  ListenSessionOptions,
  MemoryPairOptions,
  MemoryPoolOptions,
  PeerLimits,
  PeerOptions,
  ReconnectingDialOptions,
  ReconnectOptions,
  SchemeOptions,
  SessionOptions,
  WaitOptions,
} from "@qtalk/qtalk";
import type { CborOptions } from "@qtalk/qtalk/codec/cbor";
import type { MsgpackOptions } from "@qtalk/qtalk/codec/msgpack";
import type { FanOutOptions, SubscribeOptions } from "@qtalk/qtalk/fan-out";
import type { PoolOptions } from "@qtalk/qtalk/pool";
import type { CloseOnSignalsOptions } from "@qtalk/qtalk/signals";
import type {
  ServeWebSocketOptions,
  UpgradeOptions,
} from "@qtalk/qtalk/websocket";
import { assertNotType, assertType, type Equal } from "./assert_type.ts";

/** The members that may be left out, but may not be given as `undefined`. */
type RefusesUndefined<T> = {
  [K in keyof T]-?: Record<never, never> extends Pick<T, K>
    ? Record<K, undefined> extends Pick<T, K> ? never : K
    : never;
}[keyof T];

/** Whether every member that may be left out may be `undefined` instead. */
type AcceptsUndefined<T> = Equal<RefusesUndefined<T>, never>;

Deno.test("options: every optional member of talk's options accepts undefined", () => {
  assertType<AcceptsUndefined<BackoffOptions>>();
  assertType<AcceptsUndefined<CloseOnSignalsOptions>>();
  assertType<AcceptsUndefined<CloseOptions>>();
  assertType<AcceptsUndefined<ConnectOptions>>();
  assertType<AcceptsUndefined<DialCommandOptions>>();
  assertType<AcceptsUndefined<DialOptions>>();
  assertType<AcceptsUndefined<ListenerOptions>>();
  assertType<AcceptsUndefined<ListenOptions>>();
  assertType<AcceptsUndefined<ListenSchemeOptions>>();
  assertType<AcceptsUndefined<ListenSessionOptions>>();
  assertType<AcceptsUndefined<MemoryPairOptions>>();
  assertType<AcceptsUndefined<PeerLimits>>();
  assertType<AcceptsUndefined<PeerOptions>>();
  assertType<AcceptsUndefined<PoolOptions>>();
  assertType<AcceptsUndefined<ReconnectingDialOptions>>();
  assertType<AcceptsUndefined<ReconnectOptions>>();
  assertType<AcceptsUndefined<ServeWebSocketOptions>>();
  assertType<AcceptsUndefined<SchemeOptions>>();
  assertType<AcceptsUndefined<UpgradeOptions>>();
});

Deno.test("options: every optional member of the options of calls and sessions accepts undefined", () => {
  assertType<AcceptsUndefined<CallOptions>>();
  assertType<AcceptsUndefined<FanOutOptions>>();
  assertType<AcceptsUndefined<ForwardOptions>>();
  assertType<AcceptsUndefined<HandlerFromOptions>>();
  assertType<AcceptsUndefined<MemoryPoolOptions>>();
  assertType<AcceptsUndefined<SessionOptions>>();
  assertType<AcceptsUndefined<SubscribeOptions>>();
  assertType<AcceptsUndefined<WaitOptions>>();
});

Deno.test("options: every optional member of a codec's options accepts undefined", () => {
  assertType<AcceptsUndefined<CodecOptions>>();
  assertType<AcceptsUndefined<JsonOptions>>();
  assertType<AcceptsUndefined<CborOptions>>();
  assertType<AcceptsUndefined<MsgpackOptions>>();
});

Deno.test("options: a member that refuses undefined would be found", () => {
  interface Options {
    required: number;
    accepts?: number | undefined;
    refuses?: number;
  }
  assertType<Equal<RefusesUndefined<Options>, "refuses">>();
  assertNotType<AcceptsUndefined<Options>>();
});
