import { rawSession, type Session } from "../../mux/internal.ts";
import { proxy } from "../../mux/mod.ts";
import { limitWait } from "../../time_limit.ts";
import { type ConnectOptions, dialSession } from "../dial/dial.ts";
import type { Closable } from "../listener/types.ts";
import type { CloseOptions } from "../close_options.ts";

/** A session that is proxied to a new one to an address. */
export class ProxiedSession implements Closable {
  /** Settles when both sessions have ended. */
  readonly closed: Promise<void>;
  readonly #session: Session;
  readonly #early = Promise.withResolvers<void>();

  /**
   * Dials the address.
   *
   * @param session the session to proxy
   * @param to the address
   * @param options how it is dialed
   * @param onError called with why it cannot be dialed, or why a session broke
   */
  constructor(
    session: Session,
    to: string,
    options: ConnectOptions,
    onError: (error: unknown) => void,
  ) {
    this.#session = session;
    this.closed = proxyTo(to, session, options);
    this.closed.catch(onError);
  }

  /**
   * Closes both sessions. With `drainTimeout`, it first waits until no channel is
   * open: a proxy does not know which channels are calls, so one that its client has
   * opened ahead of need counts, too.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    if (options.drainTimeout) await this.#drain(options.drainTimeout, options);
    else this.#early.resolve();
    await this.#session.close();
    await this.closed.catch(() => {});
  }

  async #drain(timeout: number, { signal }: CloseOptions): Promise<void> {
    const raw = rawSession(this.#session);
    let ended = false;
    const end = () => {
      ended = true;
      this.#early.resolve();
    };
    this.closed.then(end, end);
    this.#early.promise.then(end);
    const cancel = limitWait({ signal, timeout }, end);
    while (!ended && this.#session.usage.slots > 0) {
      await Promise.race([raw.channels.whenSlotFreed(), this.#early.promise]);
    }
    cancel();
  }
}

/** Proxies a session and a new one to an address. */
async function proxyTo(
  to: string,
  session: Session,
  options: ConnectOptions,
): Promise<void> {
  const gone = new AbortController();
  const onEnd = () => gone.abort();
  session.closed.then(onEnd, onEnd);
  try {
    const { signal } = gone;
    await proxy(session, await dialSession(to, { ...options, signal }));
  } catch (error) {
    await session.close();
    // The session ended before the other one was made: that is not a failure.
    if (error !== gone.signal.reason) throw error;
  }
}
