import type { Codec, ValueWriter } from "../../codec/internal.ts";
import type { CallbackTable } from "./callback_table.ts";

/**
 * The functions that were sent with one call. The peer can call them until the
 * call ends, and those that it keeps until it releases them.
 */
export class LentCallbacks {
  readonly #table: CallbackTable;
  readonly #ids = new Set<string>();

  /** Makes an empty list of functions in `table`. */
  constructor(table: CallbackTable) {
    this.#table = table;
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
    const { message, ids } = this.#table.lend(codec, value, refusal, encode);
    for (const id of ids) this.#ids.add(id);
    return message;
  }

  /** The peer keeps these functions, and will release them itself. */
  keep(ids: Iterable<string>): void {
    for (const id of ids) this.#ids.delete(id);
  }

  /** The call has ended. */
  release(): void {
    this.#table.release(this.#ids);
    this.#ids.clear();
  }
}
