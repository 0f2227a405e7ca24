import { InvariantError, protocolError } from "../errors.ts";
import { MAX_UINT32 } from "../../uint32.ts";

/** The credit that the peer has granted this side on one channel. */
export class SendWindow {
  #credit = 0;
  /** Bytes sent, less the grants that may be for one of them. */
  #ungranted = 0;

  /** Bytes that may be sent now. */
  get credit(): number {
    return this.#credit;
  }

  /**
   * Adds `bytes` that the peer has granted. Returns whether that can be for bytes
   * that were sent: a peer may return them one by one, as it reads them.
   *
   * @throws {MuxError} `protocol-error` if the window would exceed 2^32 - 1
   */
  grant(bytes: number): boolean {
    if (bytes > MAX_UINT32 - this.#credit) {
      throw protocolError(
        `received WINDOW_ADJUST by ${bytes} for a window of ${this.#credit}, which exceeds 2^32 - 1`,
      );
    }
    this.#credit += bytes;
    if (bytes === 0 || this.#ungranted === 0) return false;
    this.#ungranted--;
    return true;
  }

  /**
   * Uses `bytes` of the credit for a DATA frame.
   *
   * @throws {InvariantError} if that is more than {@linkcode credit}
   */
  take(bytes: number): void {
    if (bytes > this.#credit) {
      throw new InvariantError(
        `Cannot send ${bytes} bytes: the send window has ${this.#credit}`,
      );
    }
    this.#credit -= bytes;
    this.#ungranted += bytes;
  }
}
