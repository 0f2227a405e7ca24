import type { Health } from "./tunnel_wire.ts";

/** Milliseconds between checks of a target that is down, at most. */
const CHECK_AGAIN = 1_000;

/** Options of {@linkcode TargetHealth}. */
export interface TargetHealthOptions {
  /** Connects to the target, and closes the connection; rejects if it cannot. */
  check(): Promise<void>;
  /**
   * How long a target that is up is not checked, in milliseconds; 0 to check it only
   * when a connection has failed.
   */
  interval: number;
  /** Called when the state changes, and with the first one if that is down. */
  onChange(health: Health): void;
}

/** Whether the target of a tunnel accepts connections, checked again and again. */
export class TargetHealth implements Disposable {
  readonly #options: TargetHealthOptions;
  #health: Health = { ok: true, reason: "" };
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  /** Nothing is checked before {@linkcode start}. */
  constructor(options: TargetHealthOptions) {
    this.#options = options;
  }

  /** The state at the last check. */
  get current(): Health {
    return this.#health;
  }

  /** Checks the target from now on, and for the first time at once. */
  async start(): Promise<void> {
    if (this.#options.interval > 0) await this.#check();
  }

  async #check(): Promise<void> {
    let health: Health;
    try {
      await this.#options.check();
      health = { ok: true, reason: "" };
    } catch (error) {
      health = { ok: false, reason: (error as Error).message };
    }
    if (!this.#stopped) this.report(health);
  }

  /** Takes note of what a connection to the target has shown. */
  report(health: Health): void {
    const changed = health.ok !== this.#health.ok;
    this.#health = health;
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    const { interval } = this.#options;
    const delay = health.ok
      ? interval
      : Math.min(CHECK_AGAIN, interval || CHECK_AGAIN);
    if (delay > 0) this.#timer = setTimeout(() => void this.#check(), delay);
    if (changed) this.#options.onChange(health);
  }

  /** Stops checking. */
  [Symbol.dispose](): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}
