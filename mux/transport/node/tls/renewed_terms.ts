import type { TlsListenOptions, TlsRenewal } from "../../types.ts";
import { ServerTerms } from "./server_terms.ts";

/**
 * Milliseconds after a failure in which options are not tried again. To try them reads
 * and parses files, and clients decide how often connections are made.
 */
const PAUSE = 1_000;

/** The terms of a server, which the program may replace while it listens. */
export class RenewedTerms {
  readonly #protocol: string;
  readonly #renewal: TlsRenewal | undefined;
  readonly #now: () => number;
  #terms: ServerTerms;
  /** When the last renewal failed, which was reported; undefined if it succeeded. */
  #failedAt: number | undefined;

  /**
   * Checks the first options.
   *
   * @param renewal where later ones come from, if they change
   * @param now the time in milliseconds
   * @throws {TypeError} if one of them is missing or not valid
   */
  constructor(
    protocol: string,
    options: TlsListenOptions | undefined,
    renewal: TlsRenewal | undefined,
    now: () => number = () => performance.now(),
  ) {
    this.#protocol = protocol;
    this.#terms = new ServerTerms(protocol, options);
    this.#renewal = renewal;
    this.#now = now;
  }

  /** The terms for a connection: the latest that are valid. */
  current(): ServerTerms {
    const renewal = this.#renewal;
    if (renewal === undefined || this.#pauses()) return this.#terms;
    try {
      const options = renewal.current();
      if (options !== this.#terms.options) {
        this.#terms = new ServerTerms(this.#protocol, options);
        renewal.onRenewed(options);
      }
      this.#failedAt = undefined;
    } catch (error) {
      const isFirst = this.#failedAt === undefined;
      this.#failedAt = this.#now();
      if (isFirst) renewal.onFailure(error);
    }
    return this.#terms;
  }

  #pauses(): boolean {
    return this.#failedAt !== undefined && this.#now() - this.#failedAt < PAUSE;
  }
}
