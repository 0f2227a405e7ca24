/** What a runtime may have that its event loop differs by. */
interface Runtime {
  /** Runtimes for servers have it as a global: Deno since 2.4, Node, Bun. */
  setImmediate?: (callback: () => void) => unknown;
  Deno?: unknown;
}

/**
 * Passes through the event loop of Deno after which it has looked at its sockets.
 * It is a task of a scheduler (tokio), which looks at them when no task is ready,
 * or else once in 61 runs of a task. While something is always ready, a single
 * pass runs timers and callbacks, and connections wait for up to 61 passes.
 */
const DENO_PASSES = 61;

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
  const { setImmediate, Deno } = globalThis as Runtime;
  return new Promise((resolve) => {
    if (setImmediate !== undefined) {
      let passes = Deno === undefined ? 1 : DENO_PASSES;
      const pass = () => void (passes-- > 0 ? setImmediate(pass) : resolve());
      return pass();
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      port2.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
