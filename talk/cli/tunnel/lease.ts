import { type Channel, MuxError } from "../../../mux/internal.ts";
import type { Accepted } from "../../../mux/internal.ts";
import { type Caller, RemoteError, RpcError } from "../../../rpc/internal.ts";
import { limitedSignal } from "../../../time_limit.ts";
import { spliceTransport } from "../splice_transport.ts";
import type { PublicPort } from "./public_port.ts";
import { type Health, SELECTORS } from "./tunnel_wire.ts";

/** How long a publisher may take to connect to its target, in milliseconds. */
const CONNECT_TIMEOUT = 30_000;
/** Milliseconds until a connection is offered to the same publisher again. */
const OFFER_AGAIN = 100;
/** Milliseconds until accepting is retried, at first and at most. */
const RETRY = { min: 50, max: 1_000 };
/** Milliseconds after which it is printed again that accepting fails. */
const REMIND = 60_000;
/** The most connections that wait on all ports together. */
const MAX_WAITING = 1_024;

/** The publisher that has a lease now. */
export interface Holder {
  /** Tells its process from others. */
  readonly process: string;
  /** Its address. */
  readonly from: string;
  /** Makes calls to it. */
  readonly caller: Caller;
  /** Whether its target accepts connections. */
  health: Health;
  /** Ends its session. */
  drop(): void;
  /** Ends its call of `tunnel/publish`. */
  end(): void;
}

/** What leases have in common. */
export interface LeaseOptions {
  /** How long the port is kept without a publisher, in milliseconds. */
  readonly leaseTime: number;
  /** How long a connection waits for a publisher, in milliseconds. */
  readonly waitTime: number;
  /** How many connections wait on one port. */
  readonly maxWaiting: number;
  /** How many wait on all of them: one object for all leases. */
  readonly waiting: { count: number };
  /** Prints what happens. */
  note(text: string): void;
  /** Prints why a connection was not passed on. */
  refused(text: string): void;
}

/**
 * The right of a publisher to a name and a port. It outlives the publisher's session
 * for some time, in which connections wait for the publisher to come back.
 */
export class Lease {
  /** The name. */
  readonly name: string;
  readonly #port: PublicPort;
  readonly #options: LeaseOptions;
  readonly #onEnd: () => void;
  #holder: Holder | undefined;
  #ended = false;
  /** Since when there is no publisher. */
  #lostAt = 0;
  #expiry: ReturnType<typeof setTimeout> | undefined;
  /** Called at the next change of the publisher. */
  readonly #changes = new Set<() => void>();
  #waiting = 0;
  /** Whether it was reported that too many connections wait. */
  #full = false;
  /** When it was last printed that accepting fails. */
  #failureNoted = -Infinity;
  /** Ends the wait before accepting is retried. */
  #retryNow: (() => void) | undefined;
  /** Why it has ended. */
  #why: string | undefined;
  /** Resolves when the port can be opened again. */
  readonly portClosed: Promise<void>;

  /** Takes over an open port. */
  constructor(
    name: string,
    port: PublicPort,
    options: LeaseOptions,
    onEnd: () => void,
  ) {
    this.name = name;
    this.#port = port;
    this.#options = options;
    this.#onEnd = onEnd;
    // Deno closes a listener only when its pending accept() has been cancelled.
    this.portClosed = this.#acceptAll().then(() =>
      this.#note("closed", this.#why)
    );
  }

  /** The public address. */
  get address(): string {
    return this.#port.addr;
  }

  /** The port. */
  get port(): number {
    return this.#port.port;
  }

  /** The publisher, if one is there. */
  get holder(): Holder | undefined {
    return this.#holder;
  }

  /** Whether the port is closed. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Gives the lease to a publisher; one that has it is dropped. */
  attach(holder: Holder): void {
    const before = this.#holder;
    const away = this.#expiry !== undefined;
    this.#keep();
    this.#holder = holder;
    if (before !== undefined) {
      this.#note("replaced", `${before.from} was dead, now by ${holder.from}`);
      before.end();
      before.drop();
    } else if (away) {
      const seconds = ((performance.now() - this.#lostAt) / 1_000).toFixed(1);
      this.#note("published again", `by ${holder.from}, after ${seconds} s`);
    } else this.#note("published", `by ${holder.from}`);
    if (!holder.health.ok) this.#noteHealth(holder.health);
    this.#change();
  }

  /** Keeps the lease for some time, because the publisher's session has ended. */
  lose(holder: Holder): void {
    if (this.#holder !== holder || this.#ended) return;
    this.#holder = undefined;
    this.#lostAt = performance.now();
    const { leaseTime } = this.#options;
    this.#note(
      "lost",
      `${holder.from} is gone, the port is kept for ${leaseTime / 1_000} s`,
    );
    this.#change();
  }

  /** Begins the lease time, unless there is a publisher or it has begun. */
  expireUnlessHeld(): void {
    if (this.#ended || this.#holder !== undefined) return;
    this.#expiry ??= setTimeout(
      () => this.end("the publisher did not come back"),
      this.#options.leaseTime,
    );
  }

  /** Keeps the lease while a publisher takes it over. */
  #keep(): void {
    clearTimeout(this.#expiry);
    this.#expiry = undefined;
  }

  /** Takes a publisher's word for the state of its target. */
  setHealth(holder: Holder, health: Health): void {
    if (this.#holder !== holder) return;
    const before = holder.health;
    holder.health = health;
    if (before.ok !== health.ok) this.#noteHealth(health);
  }

  /** Closes the port. Connections that were passed on are not affected. */
  end(why?: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#why = why;
    this.#keep();
    this.#port.close();
    this.#retryNow?.();
    this.#holder?.end();
    this.#holder = undefined;
    this.#change();
    this.#onEnd();
  }

  #note(what: string, more?: string): void {
    const text = `${what}: ${this.address} (${this.name})`;
    this.#options.note(more === undefined ? text : `${text}: ${more}`);
  }

  #noteHealth({ ok, reason }: Health): void {
    if (ok) this.#note("target is up");
    else this.#note("target is down", reason);
  }

  #change(): void {
    const waiting = [...this.#changes];
    this.#changes.clear();
    for (const resume of waiting) resume();
  }

  /** Passes every connection on until the lease ends. */
  async #acceptAll(): Promise<void> {
    let failures = 0;
    for (;;) {
      try {
        const accepted = await this.#port.accept();
        if (accepted === null) return;
        failures = 0;
        this.#pass(accepted).catch((error) =>
          this.#options.refused((error as Error).message)
        );
      } catch (error) {
        // One failure is a connection that ended early; more, that no files are left.
        if (++failures === 2) this.#noteFailure(error as Error);
        await this.#retry(Math.min(RETRY.min * 2 ** failures, RETRY.max));
      }
    }
  }

  /** Prints that accepting fails; without files it works now and then. */
  #noteFailure({ message }: Error): void {
    const now = performance.now();
    if (now - this.#failureNoted < REMIND) return;
    this.#failureNoted = now;
    this.#note("cannot accept", message);
  }

  #retry(delay: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ended) return resolve();
      const timer = setTimeout(resolve, delay);
      this.#retryNow = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #pass({ transport, remoteAddr }: Accepted): Promise<void> {
    try {
      const channel = await this.#reach(remoteAddr);
      if (channel !== undefined) await spliceTransport(transport, channel);
    } finally {
      await transport.close();
    }
  }

  /**
   * Has a publisher connect to its target; undefined if the target is known to be
   * down, or the lease ends. Nothing of the connection is read before that, so
   * another publisher can still have it when one is lost.
   */
  async #reach(remoteAddr: string): Promise<Channel | undefined> {
    const { waitTime } = this.#options;
    using limited = limitedSignal({
      timeout: waitTime,
      onTimeout: () =>
        new Error(
          `Cannot pass on a connection to ${this.address} (${this.name}): no publisher within ${
            waitTime / 1_000
          } s`,
        ),
    });
    const { signal } = limited;
    let failed: Holder | undefined;
    for (;;) {
      const holder = await this.#next(failed, signal);
      if (holder === undefined || !holder.health.ok) return undefined;
      try {
        const { channel } = await holder.caller.request(
          SELECTORS.connect,
          [remoteAddr],
          { signal, timeout: CONNECT_TIMEOUT },
        );
        return channel;
      } catch (error) {
        if (!isLoss(error)) throw error;
        failed = holder;
      }
    }
  }

  /** Waits for a publisher; for another one than `failed`, if that comes soon. */
  async #next(
    failed: Holder | undefined,
    signal: AbortSignal,
  ): Promise<Holder | undefined> {
    if (this.#holder !== undefined && this.#holder !== failed) {
      return this.#holder;
    }
    const { maxWaiting, waiting } = this.#options;
    if (this.#waiting >= maxWaiting || waiting.count >= MAX_WAITING) {
      if (this.#full) return undefined;
      this.#full = true;
      throw new Error(
        `Cannot pass on a connection to ${this.address} (${this.name}): ${this.#waiting} connections wait for its publisher`,
      );
    }
    this.#waiting++;
    waiting.count++;
    try {
      while (!this.#ended) {
        const holder = this.#holder;
        if (holder !== undefined && holder !== failed) return holder;
        const timeout = holder === undefined ? undefined : OFFER_AGAIN;
        await this.#nextChange(signal, timeout);
        signal.throwIfAborted();
        // If it is still there, only that call was lost.
        failed = undefined;
      }
      return undefined;
    } finally {
      this.#waiting--;
      waiting.count--;
      this.#full = false;
    }
  }

  #nextChange(signal: AbortSignal, timeout?: number): Promise<void> {
    return new Promise((resolve) => {
      const resume = () => {
        clearTimeout(timer);
        this.#changes.delete(resume);
        signal.removeEventListener("abort", resume);
        resolve();
      };
      const timer = timeout === undefined
        ? undefined
        : setTimeout(resume, timeout);
      this.#changes.add(resume);
      signal.addEventListener("abort", resume, { once: true });
      if (signal.aborted) resume();
    });
  }
}

/** Whether a call failed because of its session, and not because of the target. */
function isLoss(error: unknown): boolean {
  if (error instanceof RemoteError) {
    return error.code === "busy" || error.code === "unavailable";
  }
  if (error instanceof RpcError) return error.code !== "timeout";
  return error instanceof MuxError;
}
