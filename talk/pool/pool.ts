import {
  checkNotAborted,
  checkTime,
  type OptionRange,
  TIME_RANGE,
  withDefaults,
} from "../../check_option.ts";
import type { Carried } from "../../codec/internal.ts";
import {
  MuxError,
  sessionClosed,
  type WaitOptions,
} from "../../mux/internal.ts";
import {
  type CallOptions,
  checkSelector,
  type ForwardedCall,
  type ForwardTargets,
  forwardTargets,
  type Handler,
  isRepeatable,
  kindOf,
  poolOf,
  type Remote,
  RemoteError,
  remoteOf,
  RpcResponse,
  timeLimitOf,
} from "../../rpc/internal.ts";
import { MAX_DELAY } from "../../time_limit.ts";
import { DEFAULT_CONNECT_TIMEOUT } from "../dial/dial.ts";
import { TalkError } from "../errors.ts";
import {
  checkCloseOptions,
  type CloseOptions,
  handledTooLate,
  type Peer,
} from "../peer.ts";
import { Backoff } from "../reconnect/backoff.ts";
import { SharedHandlers } from "../reconnect/shared_handlers.ts";
import type { ConnectionState, ReconnectOptions } from "../reconnect/types.ts";
import { WaitingCalls } from "../reconnect/waiting_calls.ts";
import { AddressList, type AddressListHost } from "./address_list.ts";
import { type Environment, Member, type MemberHost } from "./member.ts";
import {
  type Balance,
  DEFAULT_POOL_OPTIONS,
  type PeerPool,
  type PoolAddresses,
  type PoolCall,
  type PoolOptions,
} from "./types.ts";

/** How many addresses an error names. */
const MAX_NAMED = 8;

/** A call that a pool makes, to any member. */
interface PooledCall<C extends Carried, T> extends PoolCall {
  readonly options: CallOptions;
  /** When it was made. */
  readonly start: number;
  /** Sends it. */
  send(peer: Peer<C>, options: CallOptions): Promise<T>;
  /** The connections on which it was not begun. */
  readonly tried: Peer<C>[];
  /** How many members have refused it. */
  refusals: number;
}

/** The implementation of {@linkcode PeerPool}. */
export class Pool<C extends Carried = Carried>
  implements PeerPool<C>, MemberHost<C>, AddressListHost {
  /** How `forward()` uses the pool. */
  readonly [forwardTargets]: ForwardTargets = {
    failsOver: true,
    capacity: (max) => this.#capacity(max),
    onConnected: (callback) => {
      this.#onConnected.add(callback);
      return () => this.#onConnected.delete(callback);
    },
    forward: (call) => this.#forward(call),
  };
  readonly environment: Environment<C>;
  readonly handler: Handler;
  readonly reconnect: ReconnectOptions<C>;
  readonly refreshInterval: number;
  readonly timeout: number;
  readonly #options: PoolOptions<C>;
  readonly #limits: Record<keyof typeof DEFAULT_POOL_OPTIONS, number>;
  readonly #balance: Balance;
  readonly #handlers: SharedHandlers;
  readonly #list: AddressList;
  /** By address. */
  readonly #members = new Map<string, Member<C>>();
  /** Members that are no longer listed and finish their calls. */
  readonly #leaving = new Set<Member<C>>();
  readonly #waiting: WaitingCalls<void>;
  readonly #closed = Promise.withResolvers<void>();
  /** Why there are no more connections. */
  #end: { readonly reason: unknown } | undefined;
  /** Whether the program has closed the pool. */
  #isClosed = false;
  /** Whether there will be no other list of addresses. */
  #isListFinal = false;
  /** Why members were given up since the last list, by address. */
  readonly #givenUp = new Map<string, unknown>();
  #listError: unknown;
  /** How many calls were given a member. */
  #turn = 0;
  /** What is called when a member is connected. */
  readonly #onConnected = new Set<() => void>();

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
    const limits = this.#limits = withDefaults(
      options,
      DEFAULT_POOL_OPTIONS,
      RANGES,
    );
    const { minDelay, maxDelay, jitter, balance = "least-loaded" } = options;
    const { timeout = DEFAULT_CONNECT_TIMEOUT } = options;
    checkTime("timeout", timeout);
    checkBalance(balance);
    const backoff = { minDelay, maxDelay, jitter };
    // Checks them, even if there is no member yet.
    new Backoff(backoff, () => 0);
    this.environment = environment;
    this.timeout = timeout;
    this.refreshInterval = limits.refreshInterval;
    this.reconnect = { ...backoff, maxAttempts: limits.maxAttempts };
    this.#options = options;
    this.#balance = balance;
    this.#handlers = new SharedHandlers(options.handler);
    this.handler = this.#handlers.handler;
    this.#waiting = new WaitingCalls(
      limits.maxWaitingCalls,
      () => environment.now(),
    );
    this.#closed.promise.catch(() => {});
    this.#list = new AddressList(this);
    this.#list.start(addresses);
  }

  get members(): Member<C>[] {
    return [...this.#members.values()];
  }

  // --- Calls ----------------------------------------------------------------

  call(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<unknown> {
    return this.#make(
      selector,
      args,
      options,
      (peer, options) => peer.call(selector, args, options),
    );
  }

  request(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<RpcResponse> {
    return this.#make(
      selector,
      args,
      options,
      (peer, options) => peer.request(selector, args, options),
    );
  }

  remote<S extends object, D extends Carried = C>(
    options?: CallOptions,
  ): Remote<S, D> {
    return remoteOf<S, D>(this, options);
  }

  async #make<T>(
    selector: string,
    args: unknown,
    options: CallOptions = {},
    send: PooledCall<C, T>["send"],
  ): Promise<T> {
    checkSelector(selector);
    checkNotAborted(options.signal);
    timeLimitOf(options, { name: selector }); // Checks them.
    const start = this.environment.now();
    const call = { selector, args, options, start, send };
    return await this.#sendTo({ ...call, tried: [], refusals: 0 });
  }

  /** Sends a call that is forwarded, whose arguments are not known here. */
  async #forward({ selector, options, send }: ForwardedCall): Promise<void> {
    await this.#sendTo({
      selector,
      args: undefined,
      options,
      start: this.environment.now(),
      send,
      tried: [],
      refusals: 0,
    });
  }

  /** How many forwarded calls the members can have, with at most `max` at each. */
  #capacity(max: number): number {
    const usable = this.#usable();
    if (usable.length === 0) return max;
    let sum = 0;
    for (const { peer } of usable) {
      sum += Math.min(max, poolOf(peer!)?.capacity ?? max);
    }
    return sum;
  }

  /** Sends a call to one member after the other, until one has begun it. */
  async #sendTo<T>(call: PooledCall<C, T>): Promise<T> {
    let latest: { readonly error: unknown } | undefined;
    for (;;) {
      const member = this.#choose(call);
      const peer = member?.peer;
      if (member === undefined || peer === undefined) {
        // All that are connected have refused it.
        if (latest !== undefined && this.#usable().length > 0) {
          throw latest.error;
        }
        await this.#nextConnection(call);
        continue;
      }
      try {
        return await this.#send(member, peer, call);
      } catch (error) {
        if (call.options.signal?.aborted) throw error;
        latest = { error: member.named(error) };
        if (!isRepeatable(error, call.args)) throw latest.error;
        member.refused(error);
        call.tried.push(peer);
        if (!this.#mayGoOn(call, error)) throw latest.error;
      }
    }
  }

  /** Whether a call that was not begun may go to another member. */
  #mayGoOn<T>(call: PooledCall<C, T>, error: unknown): boolean {
    if (error instanceof RemoteError) call.refusals++;
    return call.refusals <= this.#limits.maxFailovers &&
      this.#end === undefined && this.#rest(call).timeout !== 0;
  }

  async #send<T>(
    member: Member<C>,
    peer: Peer<C>,
    call: PooledCall<C, T>,
  ): Promise<T> {
    const ended = () => void member.inFlight--;
    let goesOn = false;
    member.inFlight++;
    try {
      const result = await call.send(peer, this.#rest(call));
      if (result instanceof RpcResponse && result.channel !== undefined) {
        goesOn = true;
        result.channel.closed.then(ended, ended);
      }
      return result;
    } finally {
      if (!goesOn) ended();
    }
  }

  async #nextConnection<T>(call: PooledCall<C, T>): Promise<void> {
    const { selector, options } = call;
    if (this.#end !== undefined) throw this.#refusal(selector);
    const rest = this.#rest(call);
    const limit = timeLimitOf(rest, { name: selector });
    await this.#waiting.call(selector, rest, limit, () => Promise.resolve());
    checkNotAborted(options.signal);
  }

  /** The options of a call, with the time that is left for it. */
  #rest<T>({ options, start }: PooledCall<C, T>): CallOptions {
    const { timeout } = options;
    if (timeout === undefined || timeout > MAX_DELAY) return options;
    const passed = this.environment.now() - start;
    return { ...options, timeout: Math.max(0, timeout - passed) };
  }

  /** The members that calls can be sent to. */
  #usable(): Member<C>[] {
    if (this.#end !== undefined) return [];
    return this.members.filter(({ peer }) => peer !== undefined);
  }

  #choose<T>(call: PooledCall<C, T>): Member<C> | undefined {
    const { selector, args, tried } = call;
    const usable = this.#usable();
    const members = tried.length === 0
      ? usable
      : usable.filter(({ peer }) => !tried.includes(peer!));
    if (members.length === 0) return undefined;
    const balance = this.#balance;
    if (typeof balance !== "function") return this.#inTurn(members, balance);
    const chosen = balance(members, { selector, args });
    const member = members.find((one) => one === chosen);
    if (member !== undefined) return member;
    throw new TypeError(
      `Cannot make call "${selector}": "balance" returned none of the members that it was given`,
    );
  }

  #inTurn(
    members: Member<C>[],
    balance: "least-loaded" | "round-robin",
  ): Member<C> | undefined {
    const willing = members.filter(({ refuses }) => !refuses);
    const candidates = willing.length === 0 ? members : willing;
    const first = this.#turn++ % Math.max(1, candidates.length);
    let chosen = candidates[first];
    if (balance === "round-robin") return chosen;
    for (let i = 1; i < candidates.length; i++) {
      const one = candidates[(first + i) % candidates.length]!;
      if (one.inFlight < chosen!.inFlight) chosen = one;
    }
    return chosen;
  }

  /** The error of a call that is made too late. */
  #refusal(selector: string): unknown {
    if (!this.#isClosed) return this.#end!.reason;
    return new MuxError(
      "session-closed",
      `Cannot make call "${selector}": the pool is closed`,
    );
  }

  async connected({ signal }: WaitOptions = {}): Promise<Peer<C>> {
    for (;;) {
      checkNotAborted(signal);
      if (this.#end !== undefined) throw this.#end.reason;
      const peer = this.#inTurn(this.#usable(), "least-loaded")?.peer;
      if (peer !== undefined) return peer;
      await this.#waiting.wait(signal);
    }
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
      this.#members.set(address, new Member(address, this));
    }
  }

  #leave(address: string, member: Member<C>): void {
    this.#members.delete(address);
    this.#leaving.add(member);
    const { drainTimeout } = this.#limits;
    void member.close({ drainTimeout })
      .finally(() => this.#leaving.delete(member));
  }

  onEnd(): void {
    this.#isListFinal = true;
    this.#giveUpIfAlone();
  }

  onError(error: unknown): void {
    this.#listError = error;
    this.environment.report(error, undefined);
  }

  onConnect(peer: Peer<C>, member: Member<C>): void | Promise<void> {
    return this.#options.onConnect?.(peer, member);
  }

  onState(member: Member<C>, before: ConnectionState<C>): void {
    const { state } = member;
    if (state.name === "connected") {
      this.#waiting.release();
      for (const callback of [...this.#onConnected]) callback();
    }
    // The list may already lack the lost server, or contain its replacement.
    if (before.name === "connected" && state.name === "waiting") {
      this.#list.ask();
    }
    if (state.name === "closed") this.#ended(member);
    this.#options.onState?.(member);
  }

  /** A member has closed; if it was given up, another one may be left. */
  #ended(member: Member<C>): void {
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
    if (this.#end !== undefined) return;
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
    this.#finish(error);
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
    if (this.#end !== undefined) throw handledTooLate(pattern);
    return this.#handlers.handle(pattern, handler);
  }

  use(...args: [unknown] | [unknown, unknown]): Disposable {
    return this.#handlers.use(args);
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  #finish(reason: unknown): void {
    this.#end ??= { reason };
    this.#list.stop();
    this.#waiting.end(reason);
  }

  async close(options: CloseOptions = {}): Promise<void> {
    checkCloseOptions(options);
    this.#isClosed = true;
    this.#finish(sessionClosed());
    // A second close() may end the wait of the first one.
    const members = [...this.#members.values(), ...this.#leaving];
    await Promise.all(members.map((one) => one.close(options)));
    this.#closed.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const COUNT: OptionRange = { min: 0, max: Infinity };
const RANGES: Record<keyof typeof DEFAULT_POOL_OPTIONS, OptionRange> = {
  maxMembers: { ...COUNT, min: 1 },
  maxFailovers: COUNT,
  maxWaitingCalls: COUNT,
  maxAttempts: { ...COUNT, min: 1 },
  refreshInterval: { ...TIME_RANGE, max: MAX_DELAY },
  readyTimeout: TIME_RANGE,
  drainTimeout: TIME_RANGE,
};

function checkBalance(balance: unknown): void {
  const isKnown = balance === "least-loaded" || balance === "round-robin" ||
    typeof balance === "function";
  if (isKnown) return;
  throw new TypeError(
    `Cannot use option "balance": it must be "least-loaded", "round-robin" or a function, and is ${
      typeof balance === "string" ? `"${balance}"` : kindOf(balance)
    }`,
  );
}

/** Why there is no connection to an address; most errors name it. */
function reasonOf(address: string, error: unknown): string {
  if (error === undefined) return `"${address}": still connecting`;
  const text = textOf(error);
  return text.includes(address) ? text : `"${address}": ${text}`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
