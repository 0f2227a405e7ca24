import { checkObject, checkSignal, checkTime } from "../check_option.ts";

/** Options for closing. */
export interface CloseOptions {
  /**
   * How long calls in progress, of both directions, may take to end before the
   * session is closed, in milliseconds. Calls that arrive meanwhile are refused
   * with `unavailable: ...`. A number of at least 0; `Infinity` is no limit.
   * Default: 0.
   */
  drainTimeout?: number | undefined;
  /**
   * Ends the wait for calls in progress: the session is closed at once. Default:
   * no signal.
   */
  signal?: AbortSignal | undefined;
}

/**
 * Checks the options of `close()`.
 *
 * @throws {TypeError} if `signal` is not a signal
 * @throws {RangeError} if `drainTimeout` is out of range
 */
export function checkCloseOptions(options: CloseOptions): void {
  checkObject("options of close()", options);
  checkSignal(options.signal);
  checkTime("drainTimeout", options.drainTimeout);
}
