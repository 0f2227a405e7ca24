import {
  checkFunctions,
  checkTime,
  type OptionRange,
  TIME_RANGE,
  withDefaults,
} from "../../check_option.ts";
import type { Carried } from "../../codec/internal.ts";
import { sessionClosed } from "../../mux/internal.ts";
import type { Handler } from "../../rpc/internal.ts";
import { MAX_DELAY } from "../../time_limit.ts";
import { DEFAULT_CONNECT_TIMEOUT } from "../dial/dial.ts";
import { TalkError } from "../errors.ts";
import { checkCloseOptions, type CloseOptions } from "../close_options.ts";
import { handledTooLate, type Peer } from "../peer.ts";
import { Backoff } from "../reconnect/backoff.ts";
import { SharedHandlers } from "../reconnect/shared_handlers.ts";
import type { ConnectionState, ReconnectOptions } from "../reconnect/types.ts";
import { AddressList, type AddressListHost } from "./address_list.ts";
import {
  DialedMember,
  type Environment,
  type MemberHost,
} from "./dialed_member.ts";
import { PoolCalls } from "./pool_calls.ts";
import {
  DEFAULT_POOL_OPTIONS,
  type PeerPool,
  type PoolAddresses,
  type PoolOptions,
} from "./types.ts";

/** How many addresses an error names. */
const MAX_NAMED = 8;

/** The implementation of {@linkcode PeerPool}. */
export class Pool<C extends Carried = Carried> extends PoolCalls<C>
  implements PeerPool<C>, MemberHost<C>, AddressListHost {
  readonly environment: Environment<C>;
  readonly handler: Handler;
  readonly reconnect: ReconnectOptions<C>;
  readonly refreshInterval: number;
  readonly timeout: number;
  readonly #options: PoolOptions<C>;
  readonly #limits: Record<keyof typeof DEFAULT_POOL_OPTIONS, number>;
  readonly #handlers: SharedHandlers;
  readonly #list: AddressList;
  /** By address. */
  readonly #members = new Map<string, DialedMember<C>>();
  /** Members that are no longer listed and finish their calls. */
  readonly #leaving = new Set<DialedMember<C>>();
  readonly #closed = Promise.withResolvers<void>();
  /** Whether there will be no other list of addresses. */
  #isListFinal = false;
  /** Why members were given up since the last list, by address. */
  readonly #givenUp = new Map<string, unknown>();
  #listError: unknown;

  /**
   * Starts to connect.
   *
   * @throws {RangeError} if an option is out of range
   * @throws {TypeError} if `addresses` or `balance` is of the wrong type
   */
  constructor(
    addresses: PoolAddresses,
    options: PoolOptions<C>,
    environment: Environment<C>,
  ) {
    super(options, () => environment.now());
    const limits = this.#limits = withDefaults(
      options,
      DEFAULT_POOL_OPTIONS,
      RANGES,
    );
    const { minDelay, maxDelay, jitter } = options;
    const { timeout = DEFAULT_CONNECT_TIMEOUT } = options;
    checkTime("timeout", timeout);
    checkFunctions(options, "onConnect", "onState");
    const backoff = { minDelay, maxDelay, jitter };
    // Checks them, even if there is no member yet.
    new Backoff(backoff, () => 0);
    this.environment = environment;
    this.timeout = timeout;
    this.refreshInterval = limits.refreshInterval;
    this.reconnect = { ...backoff, maxAttempts: limits.maxAttempts };
    this.#options = options;
    this.#handlers = new SharedHandlers(options.handler);
    this.handler = this.#handlers.handler;
    this.#closed.promise.catch(() => {});
    this.#list = new AddressList(this);
    this.#list.start(addresses);
  }

  get members(): DialedMember<C>[] {
    return [...this.#members.values()];
  }

  // --- Members --------------------------------------------------------------

  onList(addresses: readonly string[]): void {
    const listed = new Set(addresses);
    this.#givenUp.clear();
    this.#listError = undefined;
    for (const [address, member] of this.#members) {
      if (!listed.has(address)) this.#leave(address, member);
    }
    const others = [...listed].filter((one) => !this.#members.has(one));
    const { maxMembers } = this.#limits;
    while (others.length > 0 && this.#members.size < maxMembers) {
      // If there is room for all, the order is that of the program.
      const at = others.length + this.#members.size <= maxMembers
        ? 0
        : Math.floor(this.environment.random() * others.length);
      const [address] = others.splice(at, 1) as [string];
      this.#members.set(address, new DialedMember(address, this));
    }
  }

  #leave(address: string, member: DialedMember<C>): void {
    this.#members.delete(address);
    this.#leaving.add(member);
    const { drainTimeout } = this.#limits;
    void member.close({ drainTimeout })
      .finally(() => this.#leaving.delete(member));
    this.memberLeft();
  }

  onEnd(): void {
    this.#isListFinal = true;
    this.#giveUpIfAlone();
  }

  onError(error: unknown): void {
    this.#listError = error;
    this.environment.report(error, undefined);
  }

  onConnect(peer: Peer<C>, member: DialedMember<C>): void | Promise<void> {
    return this.#options.onConnect?.(peer, member);
  }

  onState(member: DialedMember<C>, before: ConnectionState<C>): void {
    const { state } = member;
    if (state.name === "connected") this.memberConnected();
    // The list may already lack the lost server, or contain its replacement.
    if (before.name === "connected" && state.name === "waiting") {
      this.#list.ask();
    }
    if (state.name === "closed") this.#ended(member);
    this.#options.onState?.(member);
  }

  /** A member has closed; if it was given up, another one may be left. */
  #ended(member: DialedMember<C>): void {
    for (const [address, one] of this.#members) {
      if (one !== member) continue;
      this.#members.delete(address);
      this.#givenUp.set(member.address, member.latestError);
    }
    // The first attempt fails before the rest of the list has been added.
    queueMicrotask(() => this.#giveUpIfAlone());
  }

  #giveUpIfAlone(): void {
    if (!this.#isListFinal || this.#members.size > 0) return;
    if (this.hasEnded) return;
    const error = this.#givenUp.size === 0
      ? new TalkError(
        "bad-address",
        "Cannot dial pool: the list of addresses is empty",
      )
      : new TalkError(
        "dial-failed",
        `Cannot dial pool: every address was given up: ${this.#reasons()}`,
        { cause: this.#cause(), permanent: true },
      );
    this.#list.stop();
    this.finish(error);
    this.#closed.reject(error);
  }

  /** Why no member is connected. */
  #failures(): [address: string, error: unknown][] {
    return [
      ...this.#givenUp,
      ...this.members.map(({ address, latestError }): [string, unknown] => [
        address,
        latestError,
      ]),
    ];
  }

  #cause(): unknown {
    const errors = this.#failures().map(([, error]) => error)
      .concat(this.#listError).filter((error) => error !== undefined);
    return errors.length > 1 ? new AggregateError(errors) : errors[0];
  }

  #reasons(): string {
    const failures = this.#failures();
    const texts = failures.slice(0, MAX_NAMED).map(([address, error]) =>
      reasonOf(address, error)
    );
    if (failures.length > MAX_NAMED) texts.push("…");
    if (this.#listError !== undefined) texts.push(textOf(this.#listError));
    return texts.join("; ") || "no address is listed";
  }

  /** The error of `dialPool()` if there is no connection in time. */
  notReady(): TalkError {
    const { readyTimeout } = this.#limits;
    return new TalkError(
      "timeout",
      `Cannot dial pool: no connection within ${readyTimeout} ms (option "readyTimeout"): ${this.#reasons()}`,
      { cause: this.#cause() },
    );
  }

  // --- The end --------------------------------------------------------------

  handle(pattern: string, handler: Handler): Disposable {
    if (this.hasEnded) throw handledTooLate(pattern);
    return this.#handlers.handle(pattern, handler);
  }

  use(...args: [unknown] | [unknown, unknown]): Disposable {
    return this.#handlers.use(args);
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  async close(options: CloseOptions = {}): Promise<void> {
    checkCloseOptions(options);
    this.#list.stop();
    this.finish(sessionClosed(), { isClosed: true });
    // A second close() may end the wait of the first one.
    const members = [...this.#members.values(), ...this.#leaving];
    await Promise.all(members.map((one) => one.close(options)));
    this.#closed.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const COUNT: OptionRange = { min: 1, max: Infinity };
const RANGES: Record<keyof typeof DEFAULT_POOL_OPTIONS, OptionRange> = {
  maxMembers: COUNT,
  maxAttempts: COUNT,
  refreshInterval: { ...TIME_RANGE, max: MAX_DELAY },
  readyTimeout: TIME_RANGE,
  drainTimeout: TIME_RANGE,
};

/** Why there is no connection to an address; most errors name it. */
function reasonOf(address: string, error: unknown): string {
  if (error === undefined) return `"${address}": still connecting`;
  const text = textOf(error);
  return text.includes(address) ? text : `"${address}": ${text}`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
