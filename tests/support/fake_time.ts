/** A timer that waits for the test. */
interface Timer {
  at: number;
  callback: () => void;
}

/** Timers shorter than this, in milliseconds, run as they always do. */
const SHORTEST = 100;

/**
 * Time that passes when a test says so, for timers of a tenth of a second and
 * more; shorter ones are how the event loop is given a turn, and stay real. The
 * clock that durations are measured by stands still meanwhile, at a multiple of ten
 * milliseconds, so that coarse timers need not round.
 */
export class FakeTime implements Disposable {
  readonly #setTimeout = globalThis.setTimeout;
  readonly #clearTimeout = globalThis.clearTimeout;
  readonly #signal = AbortSignal.timeout;
  /** In Bun, `now()` is the object's own, and elsewhere its prototype's. */
  readonly #ownNow = Object.getOwnPropertyDescriptor(performance, "now");
  readonly #timers = new Map<number, Timer>();
  #now = 0;
  #nextId = 2 ** 40;

  /** Takes over the timers of `shortest` milliseconds and more. */
  constructor(shortest = SHORTEST) {
    const set = (
      callback: (...args: unknown[]) => void,
      delay = 0,
      ...args: unknown[]
    ) => {
      // As the real one: what does not fit into 31 bits is no delay at all.
      if (delay < shortest || !(delay < 2 ** 31)) {
        return this.#setTimeout(callback, delay, ...args);
      }
      const id = this.#nextId++;
      this.#timers.set(id, {
        at: this.#now + delay,
        callback: () => callback(...args),
      });
      return id;
    };
    globalThis.setTimeout = set as typeof setTimeout;
    globalThis.clearTimeout = (id) => {
      if (!this.#timers.delete(id as number)) this.#clearTimeout(id);
    };
    // As Deno does it, nobody waits for a signal that nobody listens to.
    const begin = Math.ceil(performance.now() / 10) * 10;
    performance.now = () => begin + this.#now;
    AbortSignal.timeout = (delay) => {
      const { signal } = new AbortController();
      let id: number;
      return Object.assign(signal, {
        addEventListener(_: string, listener: () => void) {
          id = set(listener, delay) as number;
        },
        removeEventListener: () => globalThis.clearTimeout(id),
      });
    };
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** Lets this many milliseconds pass: what is due then runs, in order. */
  tick(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [id, timer] = [...this.#timers]
        .sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (id === undefined || timer === undefined || timer.at > end) break;
      this.#timers.delete(id);
      this.#now = timer.at;
      timer.callback();
    }
    this.#now = end;
  }

  /** Gives time back. */
  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
    globalThis.clearTimeout = this.#clearTimeout;
    AbortSignal.timeout = this.#signal;
    if (this.#ownNow === undefined) Reflect.deleteProperty(performance, "now");
    else Object.defineProperty(performance, "now", this.#ownNow);
  }
}
