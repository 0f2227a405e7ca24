import { setImmediate } from "node:timers";

/** The runtime's own, whatever a fake clock puts in its place later. */
const { setTimeout } = globalThis;

/**
 * Lets everything that is ready run: microtasks, timers that are due, and what
 * waits for the next turn of the event loop.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(() => setImmediate(resolve), 0));
}
