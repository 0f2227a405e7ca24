/**
 * The processor time of the current thread: on a machine that runs other things,
 * too, it says more than the time that passes.
 *
 * @module
 */

const CLOCK_THREAD_CPUTIME_ID = 3;
const SYMBOLS = {
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
} as const;

/** A clock of the current thread; where there is none, of the time that passes. */
export class ThreadClock implements Disposable {
  readonly #time = new BigInt64Array(2);
  #libc: Deno.DynamicLibrary<typeof SYMBOLS> | undefined;

  constructor() {
    if (Deno.build.os !== "linux") return;
    try {
      this.#libc = Deno.dlopen("libc.so.6", SYMBOLS);
    } catch {
      // Another C library.
    }
  }

  /** Returns milliseconds since some point in the past. */
  now(): number {
    if (this.#libc === undefined) return performance.now();
    this.#libc.symbols.clock_gettime(
      CLOCK_THREAD_CPUTIME_ID,
      new Uint8Array(this.#time.buffer),
    );
    const [seconds, nanoseconds] = this.#time;
    return Number(seconds) * 1_000 + Number(nanoseconds) / 1e6;
  }

  [Symbol.dispose](): void {
    this.#libc?.close();
  }
}
