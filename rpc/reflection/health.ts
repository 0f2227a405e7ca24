import { errorText } from "../wire/headers/error_header.ts";
import { timeLimit } from "../../time_limit.ts";
import type { ServiceHealth } from "./types.ts";

/**
 * Runs the check of a service. Those who ask while it runs get the same answer, so
 * that many of them cost no more than one.
 */
export class HealthCheck {
  readonly #check: () => unknown;
  readonly #timeout: number;
  #running: Promise<ServiceHealth> | undefined;

  /**
   * Makes one.
   *
   * @param check returns details, or throws
   * @param timeout how long it may take, in milliseconds
   */
  constructor(check: () => unknown, timeout: number) {
    this.#check = check;
    this.#timeout = timeout;
  }

  /** Asks the service; never rejects. */
  run(): Promise<ServiceHealth> {
    return this.#running ??= this.#ask().finally(() => {
      this.#running = undefined;
    });
  }

  async #ask(): Promise<ServiceHealth> {
    const late = Promise.withResolvers<ServiceHealth>();
    const cancel = timeLimit(this.#timeout, () => {
      const reason = `the check took longer than ${this.#timeout} ms`;
      late.resolve({ status: "not-serving", reason });
    });
    try {
      return await Promise.race([this.#result(), late.promise]);
    } finally {
      cancel();
    }
  }

  async #result(): Promise<ServiceHealth> {
    try {
      const details = await this.#check();
      return details === undefined
        ? { status: "serving" }
        : { status: "serving", details };
    } catch (error) {
      return { status: "not-serving", reason: errorText(error) };
    }
  }
}
