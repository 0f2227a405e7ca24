/** Runtimes for servers have it as a global: Deno since 2.4, Node, Bun. */
interface Runtime {
  setImmediate?: (callback: () => void) => unknown;
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
  return afterPasses("Deno" in globalThis ? DENO_PASSES : 1);
}

/**
 * Lets timers and other sessions have their turn: what is cheaper than
 * {@linkcode nextTurn} on Deno, where sockets may have to wait.
 */
export function nextPass(): Promise<void> {
  return afterPasses(1);
}

function afterPasses(passes: number): Promise<void> {
  const { setImmediate } = globalThis as Runtime;
  return new Promise((resolve) => {
    if (setImmediate !== undefined) {
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
