/**
 * Counts the calls of a service.
 *
 * @module
 */
import { invoke, isServerCall } from "../handler/invoke.ts";
import type { ServerCall } from "../server/server_call.ts";
import type { Call, CallingPeer, Handler, Responder } from "../types.ts";
import { CountedCall, counting, outcomeOf } from "./counted_call.ts";
import { Latencies } from "./latencies.ts";
import type { CallFigures, MethodStats, ServiceStats } from "./types.ts";

/** Longer selectors do not get figures of their own. */
const MAX_SELECTOR = 128;
/**
 * Outcomes that are counted separately for a method: a peer may choose the codes.
 */
const MAX_OUTCOMES = 32;

/** The bytes that have passed over a session. */
type Traffic = NonNullable<ServerCall["session"]["traffic"]>;

/** Counts the calls of a service, in an amount of memory that is bounded. */
export class CallCounter {
  readonly #now: () => number;
  readonly #maxMethods: number;
  readonly #begun: number;
  readonly #others = new Figures();
  readonly #methods = new Map<string, Figures>();
  readonly #running = new Set<CountedCall>();
  readonly #sessions = new Map<CallingPeer, Traffic | undefined>();
  /** Bytes of sessions that have ended. */
  readonly #bytes = { received: 0, sent: 0 };

  /**
   * Counts from now on.
   *
   * @param maxMethods how many methods get figures of their own
   * @param now the clock, in milliseconds
   */
  constructor(maxMethods: number, now: () => number) {
    this.#maxMethods = maxMethods;
    this.#now = now;
    this.#begun = now();
  }

  /** Lets a handler answer a call, and counts it. */
  run(handler: Handler, call: Call, respond: Responder): void | Promise<void> {
    if (!this.#sessions.has(call.peer)) this.#meet(call);
    const counted = new CountedCall(call, this.#now);
    this.#running.add(counted);
    try {
      const done = invoke(handler, call, counting(respond, counted));
      if (typeof done?.then === "function") {
        return done.then((value) => {
          this.#end(counted);
          return value;
        }, (error) => {
          this.#fail(counted, error);
          throw error;
        });
      }
      this.#end(counted);
      // Returned as it is: the server refuses values that are returned in place of
      // an answer.
      return done;
    } catch (error) {
      this.#fail(counted, error);
      throw error;
    }
  }

  /** The figures. */
  get stats(): ServiceStats {
    const methods = new Map<string, number>();
    let others = 0;
    for (const { selector } of this.#running) {
      if (this.#methods.has(selector)) {
        methods.set(selector, (methods.get(selector) ?? 0) + 1);
      } else others++;
    }
    const rows: MethodStats[] = [...this.#methods].map(
      ([selector, figures]) => ({
        selector,
        ...figures.read(methods.get(selector) ?? 0),
      }),
    );
    // Calls are counted once, and added up on request.
    const all = new Figures();
    for (const figures of this.#methods.values()) all.addAll(figures);
    all.addAll(this.#others);
    const bytes = { ...this.#bytes };
    for (const traffic of this.#sessions.values()) add(bytes, traffic);
    return {
      uptime: Math.round(this.#now() - this.#begun),
      sessions: this.#sessions.size,
      bytes,
      calls: all.read(this.#running.size),
      methods: rows.sort((a, b) => b.ended + b.inFlight - a.ended - a.inFlight),
      others: this.#others.read(others),
    };
  }

  /** A peer calls for the first time. */
  #meet(call: Call): void {
    const { peer } = call;
    const traffic = isServerCall(call) ? call.session.traffic : undefined;
    this.#sessions.set(peer, traffic);
    const leave = () => {
      this.#sessions.delete(peer);
      add(this.#bytes, traffic);
    };
    peer.closed.then(leave, leave);
  }

  #fail(counted: CountedCall, error: unknown): void {
    counted.answered();
    counted.outcome = counted.outcome === "cancelled"
      ? "cancelled"
      : outcomeOf(error);
    this.#end(counted);
  }

  #end(counted: CountedCall): void {
    this.#running.delete(counted);
    counted.answered();
    const { outcome, latency } = counted;
    this.#figuresOf(counted).add(outcome, latency);
  }

  #figuresOf({ selector, outcome }: CountedCall): Figures {
    const known = this.#methods.get(selector);
    if (known !== undefined) return known;
    // Callers can make up any number of selectors.
    if (
      outcome === "not-found" || selector.length > MAX_SELECTOR ||
      this.#methods.size >= this.#maxMethods
    ) return this.#others;
    const figures = new Figures();
    this.#methods.set(selector, figures);
    return figures;
  }
}

function add(
  sum: { received: number; sent: number },
  traffic: Traffic | undefined,
): void {
  sum.received += traffic?.received ?? 0;
  sum.sent += traffic?.sent ?? 0;
}

/** The figures of calls that have ended. */
class Figures {
  #ended = 0;
  readonly #outcomes = new Map<string, number>();
  readonly #latencies = new Latencies();

  add(outcome: string, latency: number): void {
    this.#count(outcome, 1);
    this.#latencies.add(latency);
    this.#ended++;
  }

  /** Adds the counts of another counter. */
  addAll(others: Figures): void {
    for (const [outcome, count] of others.#outcomes) {
      this.#count(outcome, count);
    }
    this.#latencies.addAll(others.#latencies);
    this.#ended += others.#ended;
  }

  #count(outcome: string, count: number): void {
    const outcomes = this.#outcomes;
    const before = outcomes.get(outcome);
    const name = before !== undefined || outcomes.size < MAX_OUTCOMES
      ? outcome
      : "error";
    outcomes.set(name, (outcomes.get(name) ?? 0) + count);
  }

  read(inFlight: number): CallFigures {
    return {
      inFlight,
      ended: this.#ended,
      outcomes: Object.fromEntries(this.#outcomes),
      latency: this.#latencies.figures,
    };
  }
}
