import {
  checkNotAborted,
  kindOf,
  type OptionRange,
  withDefaults,
} from "../../check_option.ts";
import type { Carried } from "../../codec/internal.ts";
import { MuxError, type WaitOptions } from "../../mux/internal.ts";
import {
  type Caller,
  type CallOptions,
  checkSelector,
  type ForwardedCall,
  type ForwardTargets,
  forwardTargets,
  isRepeatable,
  poolOf,
  type Remote,
  RemoteError,
  remoteOf,
  RpcResponse,
  timeLimitOf,
} from "../../rpc/internal.ts";
import { MAX_DELAY } from "../../time_limit.ts";
import type { Peer } from "../peer.ts";
import { WaitingCalls } from "../reconnect/waiting_calls.ts";
import type { Member } from "./member.ts";
import {
  type Balance,
  type BalanceOptions,
  DEFAULT_BALANCE_OPTIONS,
  type PoolCall,
} from "./types.ts";

/** A call that a pool makes, to any member. */
interface PooledCall<C extends Carried, T = unknown> extends PoolCall {
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

/** What a call that waits gets: a place at a member, or null to look again. */
type Place<C extends Carried> = Member<C> | null;

/**
 * The calls of a pool: which member gets one, what happens if it is not begun, and
 * how it waits for a member.
 */
export abstract class PoolCalls<C extends Carried> implements Caller<C> {
  /** How `forward()` uses the pool. */
  readonly [forwardTargets]: ForwardTargets;
  abstract readonly members: Member<C>[];
  readonly #limits: Record<keyof typeof DEFAULT_BALANCE_OPTIONS, number>;
  readonly #balance: Balance;
  readonly #now: () => number;
  readonly #waiting: WaitingCalls<Place<C>, PooledCall<C>>;
  /** How many calls were given a member. */
  #turn = 0;
  /** What is called when a member is connected. */
  readonly #onConnected = new Set<() => void>();
  /** Why there are no more calls. */
  #end: { readonly reason: unknown } | undefined;
  #isClosed = false;

  /**
   * Checks the options.
   *
   * @throws {RangeError} if an option is out of range
   * @throws {TypeError} if `balance` is of the wrong type
   */
  constructor(options: BalanceOptions, now: () => number) {
    const limits = this.#limits = withDefaults(
      options,
      DEFAULT_BALANCE_OPTIONS,
      RANGES,
    );
    const { balance = "least-loaded" } = options;
    checkBalance(balance);
    this.#balance = balance;
    this.#now = now;
    this[forwardTargets] = {
      failsOver: true,
      hasFewPlaces: limits.maxCallsPerMember !== Infinity,
      capacity: (max) => this.#capacity(max),
      onConnected: (callback) => {
        this.#onConnected.add(callback);
        return () => this.#onConnected.delete(callback);
      },
      forward: (call) => this.#forward(call),
    };
    this.#waiting = new WaitingCalls(
      limits.maxWaitingCalls,
      now,
      limits.maxCallsPerMember === Infinity ? "connection" : "free member",
    );
  }

  // --- Making calls ---------------------------------------------------------

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
    const start = this.#now();
    const call = { selector, args, options, start, send };
    return await this.#sendTo({ ...call, tried: [], refusals: 0 });
  }

  /** Sends a call that is forwarded, whose arguments are not known here. */
  async #forward({ selector, options, send }: ForwardedCall): Promise<void> {
    await this.#sendTo({
      selector,
      args: undefined,
      options,
      start: this.#now(),
      send,
      tried: [],
      refusals: 0,
    });
  }

  /** How many forwarded calls the members can have, with at most `max` at each. */
  #capacity(max: number): number {
    const most = Math.min(max, this.#limits.maxCallsPerMember);
    const usable = this.#usable();
    if (usable.length === 0) return most;
    let sum = 0;
    for (const { peer } of usable) {
      sum += Math.min(most, poolOf(peer!)?.capacity ?? most);
    }
    return sum;
  }

  /** Sends a call to one member after the other, until one has begun it. */
  async #sendTo<T>(call: PooledCall<C, T>): Promise<T> {
    let latest: { readonly error: unknown } | undefined;
    for (;;) {
      let member: Place<C> | undefined = this.#take(call);
      if (member === undefined) {
        if (latest !== undefined && this.#isRefused(call)) throw latest.error;
        member = await this.#nextPlace(call);
        if (member === null) continue;
      }
      const { peer } = member;
      if (peer === undefined) {
        // It was lost after the call had got its place.
        this.#giveBack(member);
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

  /** Whether all that are connected have refused a call. */
  #isRefused({ tried }: PooledCall<C>): boolean {
    const usable = this.#usable();
    return usable.length > 0 &&
      usable.every(({ peer }) => tried.includes(peer!));
  }

  /** Whether a call that was not begun may go to another member. */
  #mayGoOn(call: PooledCall<C>, error: unknown): boolean {
    if (error instanceof RemoteError) call.refusals++;
    return call.refusals <= this.#limits.maxFailovers &&
      this.#end === undefined && this.#rest(call).timeout !== 0;
  }

  /** Sends a call to the member at which it has a place. */
  async #send<T>(
    member: Member<C>,
    peer: Peer<C>,
    call: PooledCall<C, T>,
  ): Promise<T> {
    const ended = () => this.#giveBack(member);
    let goesOn = false;
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

  // --- Places ---------------------------------------------------------------

  /** Waits for a member that can take a call. */
  async #nextPlace(call: PooledCall<C>): Promise<Place<C>> {
    const { selector, options } = call;
    if (this.#end !== undefined) throw this.#refusal(selector);
    const rest = this.#rest(call);
    const limit = timeLimitOf(rest, { name: selector });
    const member = await this.#waiting.call(
      selector,
      rest,
      limit,
      (place) => Promise.resolve(place),
      call,
    );
    // It was given up before it could go on.
    if (options.signal?.aborted && member !== null) this.#giveBack(member);
    checkNotAborted(options.signal);
    return member;
  }

  /** The options of a call, with the time that is left for it. */
  #rest({ options, start }: PooledCall<C>): CallOptions {
    const { timeout } = options;
    if (timeout === undefined || timeout > MAX_DELAY) return options;
    const left = timeout - (this.#now() - start);
    // Timers count whole milliseconds, and errors quote the time.
    return { ...options, timeout: Math.max(0, Math.ceil(left)) };
  }

  /**
   * Gives places to what waits, in the order in which it came. A place is taken here,
   * so a call that is made before the waiting one goes on does not get it.
   */
  #offerPlaces(): void {
    for (const { want, resolve } of this.#waiting) {
      if (!this.#usable().some((one) => this.#hasRoom(one))) return;
      if (want === undefined) {
        resolve(null);
        continue;
      }
      try {
        const member = this.#take(want);
        if (member !== undefined) {
          // `balance` may have aborted the call.
          if (!resolve(member)) this.#giveBack(member);
        } else if (this.#isRefused(want)) resolve(null);
      } catch {
        resolve(null); // `balance` throws again for this call.
      }
    }
  }

  /** The members that are connected. */
  #usable(): Member<C>[] {
    if (this.#end !== undefined) return [];
    return this.members.filter(({ peer }) => peer !== undefined);
  }

  #hasRoom({ inFlight }: Member<C>): boolean {
    return inFlight < this.#limits.maxCallsPerMember;
  }

  /** Takes a place at a member for a call, if one has room. */
  #take(call: PooledCall<C>): Member<C> | undefined {
    const member = this.#choose(call);
    if (member !== undefined) member.inFlight++;
    return member;
  }

  #giveBack(member: Member<C>): void {
    member.inFlight--;
    // Without a limit, no call waits for a place.
    if (this.#limits.maxCallsPerMember !== Infinity) this.#offerPlaces();
  }

  #choose({ selector, args, tried }: PooledCall<C>): Member<C> | undefined {
    const members = this.#usable().filter((one) =>
      this.#hasRoom(one) && !tried.includes(one.peer!)
    );
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

  async connected({ signal }: WaitOptions = {}): Promise<Peer<C>> {
    for (;;) {
      checkNotAborted(signal);
      if (this.#end !== undefined) throw this.#end.reason;
      const peer = this.#inTurn(this.#usable(), "least-loaded")?.peer;
      if (peer !== undefined) return peer;
      await this.#waiting.wait(signal);
    }
  }

  /** A member is connected. */
  protected memberConnected(): void {
    this.#offerPlaces();
    for (const callback of [...this.#onConnected]) callback();
  }

  /** A member gets no further calls. All others may have refused a call that waits. */
  protected memberLeft(): void {
    this.#offerPlaces();
  }

  // --- The end --------------------------------------------------------------

  /** Whether there are no more calls. */
  protected get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** Refuses all further calls, and those that wait. */
  protected finish(reason: unknown, { isClosed = false } = {}): void {
    this.#isClosed ||= isClosed;
    this.#end ??= { reason };
    this.#waiting.end(reason);
  }

  /** The error of a call that is made too late. */
  #refusal(selector: string): unknown {
    if (!this.#isClosed) return this.#end!.reason;
    return new MuxError(
      "session-closed",
      `Cannot make call "${selector}": the pool is closed`,
    );
  }
}

const COUNT: OptionRange = { min: 0, max: Infinity };
const RANGES: Record<keyof typeof DEFAULT_BALANCE_OPTIONS, OptionRange> = {
  maxFailovers: COUNT,
  maxWaitingCalls: COUNT,
  maxCallsPerMember: { ...COUNT, min: 1 },
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
