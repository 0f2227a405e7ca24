/** The runtime's own, whatever a fake clock puts in its place later. */
const { setTimeout } = globalThis;

/** Lets everything that is ready run: microtasks, and one turn of the loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
