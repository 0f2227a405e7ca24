/** Runtimes for servers have it as a global: Deno since 2.4, Node, Bun. */
interface Immediate {
  setImmediate?: (callback: () => void) => unknown;
}

/**
 * Lets the event loop turn once: other sockets, timers and sessions get their
 * turn. A loop that awaits only what is ready, such as reads of a socket that a
 * peer keeps filled, runs in microtasks and would keep everything else waiting.
 *
 * In browsers a message port does what `setImmediate()` does elsewhere. Their
 * timers have a minimum of four milliseconds, or a second in a page that is not
 * visible.
 */
export function nextTurn(): Promise<void> {
  const { setImmediate } = globalThis as Immediate;
  return new Promise((resolve) => {
    if (setImmediate !== undefined) return void setImmediate(resolve);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      port2.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
