/**
 * The public types of fan-outs, and the defaults of their options.
 *
 * @module
 */
/**
 * What happens when a value arrives and the buffer of a subscriber is full.
 *
 * - `"end"`: its stream fails with a `CallError` whose code is `too-slow`, and its
 *   unread values are dropped. For values that must not be missed silently.
 * - `"drop-oldest"`: the values that have waited longest are dropped.
 * - `"drop-newest"`: the new value is dropped.
 * - `"keep-latest"`: all values but the new one are dropped. For states, of which
 *   only the latest matters.
 */
export type WhenFull = "end" | "drop-oldest" | "drop-newest" | "keep-latest";

/** Options of one subscriber. */
export interface SubscribeOptions {
  /**
   * Ends the subscription: the stream fails with the signal's reason. Default: no
   * signal.
   */
  signal?: AbortSignal | undefined;
  /**
   * How many values may wait for the subscriber, or with `size`, their total size.
   * One value can always wait. An integer of at least 0. Default: that of the
   * fan-out.
   */
  buffer?: number | undefined;
  /** What happens when the buffer is full. Default: that of the fan-out. */
  whenFull?: WhenFull | undefined;
}

/** Options of `fanOut()`. */
export interface FanOutOptions<T = unknown> {
  /**
   * How many values may wait for each subscriber, or with `size`, their total size.
   * One value can always wait. An integer of at least 0. Default: 64.
   */
  buffer?: number | undefined;
  /**
   * What happens when a value arrives and the buffer of a subscriber is full.
   * Default: `"end"`.
   */
  whenFull?: WhenFull | undefined;
  /**
   * Returns how much of a buffer a value takes, such as its length in bytes: a
   * number of at least 0. Default: 1.
   */
  size?: ((value: T) => number) | undefined;
  /**
   * How many of the latest values a new subscriber gets first. An integer of at least
   * 0. Default: 0.
   */
  replay?: number | undefined;
  /**
   * Whether the source is cancelled when the last subscriber leaves. If the source
   * is a function, the next subscriber opens it again. If this is `false`, the
   * source continues to be read, and the values are dropped. Default: false.
   */
  cancelUnused?: boolean | undefined;
  /**
   * How many subscribers there may be; beyond that, `subscribe()` throws a
   * `CallError` whose code is `busy`. An integer of at least 0, or `Infinity`.
   * Default: 16,384.
   */
  maxSubscribers?: number | undefined;
}

/** The defaults of {@linkcode FanOutOptions} that are numbers. */
export const DEFAULT_FAN_OUT_OPTIONS: Readonly<
  Record<"buffer" | "replay" | "maxSubscribers", number>
> = Object.freeze({ buffer: 64, replay: 0, maxSubscribers: 16_384 });

/** Many subscribers of one source of values; `fanOut()` makes it. */
export interface FanOut<T> extends Disposable {
  /**
   * A stream of the values from now on, which a handler can return. Cancelling it, as
   * the end of its call does, ends the subscription. Its values are the same objects
   * for all subscribers.
   *
   * If the source has ended, it ends after the values of `replay`; if the source has
   * failed, it fails with that error.
   *
   * @throws {CallError} `busy` if there are too many subscribers
   * @throws {RangeError} if `buffer` is out of range
   * @throws {TypeError} if `whenFull` is none of its values, `signal` is not a signal, or
   * the source cannot be read
   */
  subscribe(options?: SubscribeOptions): ReadableStream<T>;
  /**
   * Gives a value to all subscribers, in addition to those of the source. It never
   * waits. After the end it has no effect.
   *
   * @throws {RangeError} if `size` does not return a number of at least 0
   */
  publish(value: T): void;
  /** How many subscribers there are. */
  readonly subscriberCount: number;
  /** How many values were dropped because subscribers were too slow. */
  readonly droppedCount: number;
  /**
   * Ends all streams, once their buffers are empty, and cancels the source.
   * Idempotent.
   */
  close(): void;
  /** Same as {@linkcode close}. */
  [Symbol.dispose](): void;
}

/** A source of values, or a function that opens it. */
export type FanOutSource<T> =
  | AsyncIterable<T>
  | ReadableStream<T>
  | (() => AsyncIterable<T> | ReadableStream<T>);
