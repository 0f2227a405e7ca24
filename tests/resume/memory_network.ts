/**
 * A listener and a dialer of sessions that are resumed, over lines in memory.
 *
 * @module
 */
import type { KeepAliveOptions } from "../../mux/options.ts";
import type { ResumeState } from "../../mux/resume/types.ts";
import { beginSession, whileOpen } from "../../mux/resume/dialed_session.ts";
import { ResumingListener } from "../../mux/resume/resuming_listener.ts";
import { SessionStore } from "../../mux/resume/store.ts";
import type { Accepted, TransportListener } from "../../mux/transport/types.ts";
import { PendingAccepts } from "../../mux/transport/pending_accepts.ts";
import type { Transport } from "../../mux/types.ts";
import { Line } from "./line.ts";

/** Options of a {@linkcode MemoryNetwork}. */
export interface NetworkOptions {
  /** Makes the next line. */
  readonly line?: (() => Line) | undefined;
  /** When a silent connection is given up. */
  readonly keepAlive?: KeepAliveOptions | false | undefined;
  /** Milliseconds that an attempt may take. */
  readonly attemptTimeout?: number | undefined;
  readonly maxUnacknowledged?: number | undefined;
  readonly timeout?: number | undefined;
  readonly maxDetached?: number | undefined;
  /** Where its sessions are kept. Default: a store of its own. */
  readonly store?: SessionStore | undefined;
  readonly onState?: ((state: ResumeState) => void) | undefined;
  readonly allow?: (() => boolean) | undefined;
  /** Waits between attempts. Default: not at all. */
  readonly wait?: ((signal: AbortSignal) => Promise<void>) | undefined;
}

/** Listens for lines. */
class LineListener implements TransportListener {
  readonly addr = "memory";
  readonly #accepts = new PendingAccepts();
  isClosed = false;

  accept(): Promise<Accepted | null> {
    return this.isClosed ? Promise.resolve(null) : this.#accepts.next();
  }

  push(transport: Transport): void {
    if (this.isClosed) void transport.close();
    else this.#accepts.push({ accepted: { transport, remoteAddr: "dialer" } });
  }

  close(): void {
    this.isClosed = true;
    this.#accepts.end();
    this.#accepts.discard();
  }
}

/** One listener, and sessions that are dialed to it. */
export class MemoryNetwork {
  readonly #options: NetworkOptions;
  readonly #source = new LineListener();
  readonly listener: ResumingListener;
  /** All lines there were. */
  readonly lines: Line[] = [];

  /** Starts to listen. */
  constructor(options: NetworkOptions = {}) {
    this.#options = options;
    this.listener = this.#listen(this.#source);
  }

  #listen(source: TransportListener): ResumingListener {
    const { maxDetached = 16, keepAlive, allow } = this.#options;
    const store = this.#options.store ??
      new SessionStore({ ...this.#limits, maxDetached });
    return new ResumingListener(source, {
      store,
      keepAlive,
      handshake: { timeout: Infinity, onTimeout() {} },
      allow,
    });
  }

  get #limits(): { timeout: number; maxUnacknowledged: number } {
    const { timeout = 60_000, maxUnacknowledged = 2 ** 20 } = this.#options;
    return { timeout, maxUnacknowledged };
  }

  /** Makes a line to the listener, and returns its dialer's end. */
  connect(): Promise<Transport> {
    const line = this.#options.line?.() ?? new Line(Infinity, "close");
    this.lines.push(line);
    this.#source.push(line.listener);
    return Promise.resolve(line.dialer);
  }

  /** Begins a session; resolves to both its ends. */
  async session(): Promise<[dialer: Transport, listener: Transport]> {
    const accepted = this.listener.accept();
    const dialer = await this.dial();
    return [dialer, (await accepted)!.transport];
  }

  /** Begins a session that the listener has to accept. */
  async dial(): Promise<Transport> {
    const { attemptTimeout = Infinity, keepAlive, onState, wait } =
      this.#options;
    const transport = await this.connect();
    return await whileOpen(
      transport,
      new AbortController().signal,
      () =>
        beginSession(transport, {
          limits: this.#limits,
          keepAlive,
          onState,
        }, {
          connect: () => this.connect(),
          attemptTimeout,
          backoff: { next: () => 0, connectionLasted() {} },
          wait: (_, signal) => wait?.(signal) ?? Promise.resolve(),
        }),
    );
  }

  /** Stops listening. */
  close(): void {
    this.listener.close();
  }
}
