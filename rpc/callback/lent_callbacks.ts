import type { Codec, ValueWriter } from "../../codec/internal.ts";
import type { CallbackTable, LendingSession } from "./callback_table.ts";

/**
 * The functions that were sent with one call. The peer can call them until the
 * call ends, and those that it keeps until it releases them.
 */
export class LentCallbacks {
  readonly #session: LendingSession;
  readonly #selector: string;
  readonly #ids = new Set<string>();

  /** Makes an empty list of functions, for a call of `selector`. */
  constructor(session: LendingSession, selector: string) {
    this.#session = session;
    this.#selector = selector;
  }

  /**
   * Encodes a value that the codec has refused, and lends the functions in it:
   * see {@linkcode CallbackTable.lend}.
   *
   * @throws {unknown} `refusal`, or why lending is not possible
   */
  encode(
    codec: Codec,
    value: unknown,
    refusal: unknown,
    encode: (value: unknown) => ValueWriter,
  ): ValueWriter {
    const { callbacks } = this.#session;
    const { message, ids } = callbacks.lend(
      codec,
      value,
      refusal,
      encode,
      this.#selector,
    );
    for (const id of ids) {
      // The call lends a function once, however often it sends it.
      if (this.#ids.has(id)) callbacks.release([id]);
      else this.#ids.add(id);
    }
    return message;
  }

  /** What the IDs of all functions of this side begin with. */
  get prefix(): string {
    return this.#session.prefix;
  }

  /** The peer keeps these functions, and will release them itself. */
  keep(ids: Iterable<string>): void {
    for (const id of ids) this.#ids.delete(id);
  }

  /** The call has ended. */
  release(): void {
    this.#end((callbacks) => callbacks.release(this.#ids));
  }

  /** The call was given up: calls of the functions end with it. */
  giveUp(reason: unknown): void {
    const cut = { reason, selector: this.#selector };
    this.#end((callbacks) => callbacks.giveUp(this.#ids, cut));
  }

  /** The call has failed: its streams must not look complete. */
  cut(): void {
    const cut = { selector: this.#selector };
    this.#end((callbacks) => callbacks.cut(this.#ids, cut));
  }

  #end(how: (callbacks: CallbackTable) => void): void {
    // Few sessions need a table.
    if (this.#ids.size === 0) return;
    how(this.#session.callbacks);
    this.#ids.clear();
  }
}
