/** How long a callback can be called. */
export interface CallbackLife extends Disposable {
  /**
   * Keeps the callback after the call that it came with, until {@linkcode release}.
   * Call it before that call is answered, because the peer is informed with the
   * answer. A callback that came with a response need not be retained.
   *
   * Each `retain()` adds a holder, and so does each response that the callback came
   * with. The callback can be called as long as it has a holder.
   *
   * @returns the callback itself
   * @throws {RpcError} `released` if the callback has already been released
   */
  retain(): this;
  /**
   * Removes one holder. Without any, the callback can no longer be called, except
   * by the handlers of calls that it came with. `using` does the same.
   */
  release(): void;
}

/**
 * Makes the type of the function part of that of its callback.
 *
 * @ignore
 */
export interface CallbackOf<F> {
  /** Not set. */
  readonly calls?: F | undefined;
}

/**
 * A stream of the peer that came among the arguments of a call, or in a response.
 * It can be read once, with a channel and a window of its own. A stream of bytes
 * arrives as a stream of bytes.
 *
 * It has the lifetime of a {@linkcode Callback}, and the same methods: one that
 * came with a call can be read until the call is answered, and to its end if
 * reading has begun by then. One that came with a response is released when it has
 * been read or cancelled.
 *
 * @typeParam T the type of its values
 */
export type ReceivedStream<T> = ReadableStream<T> & CallbackLife;
