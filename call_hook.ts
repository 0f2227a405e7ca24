/**
 * Calls a function of the program whose result and errors do not concern the caller,
 * such as `onError` or `onState`. What it throws is reported as uncaught, like the
 * error of an event listener, and the caller continues.
 */
export function callHook(call: () => unknown): void {
  try {
    call();
  } catch (mistake) {
    queueMicrotask(() => {
      throw mistake;
    });
  }
}
