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

/** The memory that windows take; `WindowBudget` in a session. */
export interface WindowMemory {
  /** Whether other takers want more than is left. */
  readonly exhausted: boolean;
  /** Takes `bytes` for a window to grow, if as many are left; returns whether. */
  take(bytes: number): boolean;
  /** Takes up to `bytes` for a short time; returns how many. */
  lend(bytes: number): number;
  /** Returns `bytes`. */
  give(bytes: number): void;
  /** Returns `bytes` of a window that has ended; the peer had `credit` left. */
  giveUnused(bytes: number, credit: number): void;
}

/** What the receive windows of one session share. */
export interface WindowPolicy {
  /** Bytes that one window may grow to. */
  readonly maxSize: number;
  /** The memory that all windows share. */
  readonly budget: WindowMemory;
  /** The round trips of the session. */
  readonly roundTrip: Pick<RoundTrip, "shortest" | "observe">;
  /** A monotonic clock. */
  readonly clock: PlainClock;
}

/** A clock that can be read. */
interface PlainClock {
  /** The time in milliseconds. */
  now(): number;
}

/**
 * A window returns its credit in this many batches. Two are too few: a batch
 * exceeds half of the window as soon as reads do not match its size. The rest is
 * less than the next batch, which then waits until the peer has received the
 * first, so half a window passes per round trip.
 */
const BATCHES = 4;

/**
 * The peer was waiting for a credit if it uses it within one and a half round
 * trips plus the milliseconds that two busy event loops take to react. On one
 * machine the latter is most of the time.
 */
const PROMPT = { roundTrips: 1.5, reaction: 0.25 } as const;

/**
 * Windows double in whole units of this many bytes. Bulk data fills a window
 * with frames of 64 KiB, and a remainder would need a frame of its own each time.
 */
const UNIT = 16 * 1024;

/**
 * Up to this size, in bytes, promptness alone makes a window grow. Within one
 * machine a busy reader finds that much waiting and reads it at the speed of
 * memory. A larger window only grows to {@linkcode ROUND_TRIPS} times what the
 * application takes in a round trip, less {@linkcode COLD_REACTION}.
 */
const SMALL_WINDOW = 512 * 1024;
/**
 * Milliseconds of a round trip that say nothing about the link: what two event loops
 * take before the engine has compiled their code. Within one machine, the shortest
 * of the first round trips takes 0.3 to 1.2 ms, and later ones 0.1. With 0.25 ms here,
 * half of the connections had windows of 1 to 4 MiB for a moment, which is more than
 * the congestion window. Linux's BBR then paced them as long as they lived, at the
 * speed that cold code had: 1,000 in place of 1,600 MB/s on one core. With 1 ms, a
 * link whose round trip takes up to 1.3 ms has 512 KiB, which is 3 Gbit/s or more.
 */
const COLD_REACTION = 1;
/**
 * The round trips that a large window may cover. Four are too few: where packets
 * and halves of the window drift apart, each half waits for the other, and a
 * window that is too small reaches half of the possible throughput.
 */
const ROUND_TRIPS = 9;

/**
 * The credit that this side grants the peer on one channel (mux/SPEC.md,
 * "Windows"). It only calculates: it sends no frames and reads no clock but the
 * policy's.
 *
 * At any time `size = granted + held + owed`: credit that the peer has, bytes
 * that have arrived and wait for the application, and bytes that the application
 * has taken but whose credit was not returned yet. Credit is returned in batches
 * of a quarter of a window.
 *
 * A peer that uses a credit promptly ({@linkcode PROMPT}) was waiting for it. If
 * the application was waiting too, the window is what slows them down, and it
 * doubles. It thus settles at a few times the bandwidth-delay product, where
 * bandwidth is the rate at which the application takes data, even in bursts. How
 * fast a window is used up says less, because data that has waited in the socket
 * arrives at the speed of memory.
 */
export class ReceiveWindow {
  readonly #policy: WindowPolicy;
  readonly #initialSize: number;
  #size: number;
  #granted: number;
  #owed = 0;
  /** Bytes of the window that are on loan from the budget. */
  #loan = 0;
  /**
   * Bytes that the peer must still send before it uses the credit under
   * observation; negative while no credit is.
   */
  #beforeCredit = -1;
  #creditAt = 0;
  /** How the last credit under observation was used, until the next resize. */
  #use: "unknown" | "prompt" | "slow" = "unknown";
  /** Bytes taken at the window's present size. */
  #taken = 0;
  /**
   * When the window got its present size. Undefined before the first batch: most
   * channels see none, and need not read the clock.
   */
  #sizedAt: number | undefined;

  /** Makes a window of `size` bytes, which were taken from the budget. */
  constructor(policy: WindowPolicy, size: number) {
    this.#policy = policy;
    this.#initialSize = this.#size = this.#granted = size;
  }

  /** Bytes of the whole window. */
  get size(): number {
    return this.#size;
  }

  /** Bytes that the peer may still send. */
  get granted(): number {
    return this.#granted;
  }

  /** Bytes taken by the application whose credit is not returned yet. */
  get owed(): number {
    return this.#owed;
  }

  /**
   * Counts a DATA frame of `bytes`.
   *
   * @throws {MuxError} `protocol-error` if the peer had less credit than that
   */
  receive(bytes: number): void {
    if (bytes > this.#granted) {
      throw protocolError(
        `received DATA of ${bytes} bytes for a window of ${this.#granted}`,
      );
    }
    const drained = this.#granted + this.#owed === this.#size;
    this.#granted -= bytes;
    if (this.#beforeCredit < 0) return;
    this.#beforeCredit -= bytes;
    if (this.#beforeCredit < 0) this.#creditUsed(drained);
  }

  /**
   * Counts `bytes` that the application has taken. Returns the credit to return
   * to the peer now, in bytes; 0 while the batch is not full.
   *
   * @throws {InvariantError} if fewer bytes than that were held
   */
  consume(bytes: number): number {
    if (bytes > this.#size - this.#granted - this.#owed) {
      throw new InvariantError(
        `Cannot consume ${bytes} bytes: the receive window of ${this.#size} has granted ${this.#granted} and owes ${this.#owed}`,
      );
    }
    const repaid = Math.min(bytes, this.#loan);
    if (repaid > 0) this.#repay(repaid);
    this.#owed += bytes - repaid;
    this.#taken += bytes;
    if (this.#owed * BATCHES < this.#size) return 0;
    if (this.#sizedAt === undefined) {
      this.#sizedAt = this.#policy.clock.now();
      this.#taken = 0;
    }
    const before = this.#size;
    this.#resize();
    const credit = this.#owed;
    this.#owed = 0;
    // A window that has just changed says nothing yet about its new size.
    if (this.#beforeCredit < 0 && this.#size === before) {
      this.#beforeCredit = this.#granted;
      this.#creditAt = this.#policy.clock.now();
    }
    this.#granted += credit;
    return credit;
  }

  /**
   * Announces that the application will take the next `bytes` as they arrive,
   * for example because the length of a value has arrived. The peer then need
   * not wait for credit in every round trip: it gets the missing bytes as a
   * loan, which the bytes taken next repay. Returns the credit to give to the
   * peer now.
   */
  expect(bytes: number): number {
    const { budget, maxSize } = this.#policy;
    const more = Math.min(
      bytes - this.#granted - this.#owed,
      maxSize - this.#size,
    );
    if (more * BATCHES < this.#size) return 0;
    const lent = budget.lend(more);
    if (lent === 0) return 0;
    const credit = this.#owed + lent;
    this.#loan += lent;
    this.#size += lent;
    this.#granted += credit;
    this.#owed = 0;
    return credit;
  }

  /**
   * Returns what the peer will not use to the budget: it sends nothing more.
   * Bytes that have arrived stay taken until {@linkcode release}.
   */
  end(): void {
    const unused = this.#granted + this.#owed;
    if (unused === 0) return;
    this.#policy.budget.giveUnused(unused, this.#granted);
    this.#size -= unused;
    this.#granted = this.#owed = this.#loan = 0;
    this.#beforeCredit = -1;
  }

  /** Returns `bytes` to the budget that were taken after {@linkcode end}. */
  drain(bytes: number): void {
    this.#size -= bytes;
    this.#policy.budget.give(bytes);
  }

  /**
   * Returns everything to the budget: nothing more arrives, and nothing that has
   * arrived is left.
   */
  release(): void {
    if (this.#size === 0) return;
    this.#policy.budget.giveUnused(this.#size, this.#granted);
    this.#size =
      this.#granted =
      this.#owed =
      this.#loan =
        0;
    this.#beforeCredit = -1;
  }

  #repay(bytes: number): void {
    this.#loan -= bytes;
    this.#size -= bytes;
    this.#policy.budget.give(bytes);
  }

  /** The first byte arrived that the peer could not send without the credit. */
  #creditUsed(drained: boolean): void {
    const elapsed = this.#policy.clock.now() - this.#creditAt;
    const roundTrip = this.#policy.roundTrip.shortest;
    // The credit has reached the peer, and the data it allowed has come back.
    this.#policy.roundTrip.observe(elapsed);
    if (roundTrip === undefined) return;
    const prompt = elapsed < PROMPT.roundTrips * roundTrip + PROMPT.reaction;
    this.#use = prompt && drained ? "prompt" : "slow";
  }

  /** Whether the application takes enough for a window of `size` bytes. */
  #isWorth(size: number): boolean {
    if (size <= SMALL_WINDOW) return true;
    const elapsed = this.#policy.clock.now() - (this.#sizedAt ?? 0);
    // What two event loops take of a round trip says nothing about the link. Within
    // one machine, a larger window fills buffers only: an echo then took 1.76 s of
    // CPU time per GB in place of 1.19, and a call beside it 1.1 ms in place of 0.35.
    const roundTrip = (this.#policy.roundTrip.shortest ?? 0) - COLD_REACTION;
    return size * elapsed <= ROUND_TRIPS * this.#taken * roundTrip;
  }

  #resize(): void {
    const { budget, maxSize } = this.#policy;
    const initialSize = this.#initialSize;
    const own = this.#size - this.#loan;
    const use = this.#use;
    this.#use = "unknown";
    if (use === "prompt") {
      const more = Math.min(2 * wholeUnits(own) - own, maxSize - this.#size);
      if (more > 0 && this.#isWorth(this.#size + more) && budget.take(more)) {
        this.#size += more;
        this.#owed += more;
        this.#taken = 0;
        this.#sizedAt = this.#policy.clock.now();
      }
    } else if (use === "slow" && budget.exhausted && own > initialSize) {
      // Another window needs the memory more: return less than was consumed.
      const less = Math.min(this.#owed, own - initialSize);
      this.#size -= less;
      this.#owed -= less;
      budget.give(less);
    }
  }
}

function wholeUnits(bytes: number): number {
  return bytes < UNIT ? bytes : bytes - bytes % UNIT;
}

/**
 * Milliseconds after which an unanswered probe makes way for the next one. No
 * network path on Earth takes as long.
 */
const PROBE_TIMEOUT = 1_000;

/** Measurements at the start, when each tells much. */
const EVERY_ONE = 16;
/**
 * Then, one frame in this many that could be probes is one: reading the clock for
 * each would take a call one part in sixty of its time.
 */
const ONE_IN = 16;
/** One of them in this many is one if the last measurement is old. */
const ONE_IN_IF_OLD = 4;
/**
 * Milliseconds after which a measurement is old. Where they are as rare as that, no
 * probe is left out: of calls that share a channel, few open one.
 */
const OLD = 1_000;

/**
 * The shortest round trip of a session, measured on frames that the session
 * sends anyway. A probe is a frame that the peer needs before it can continue
 * with a channel (OPEN, OPEN_CONFIRM, or credit for a window used up); its answer
 * is the next OPEN_CONFIRM, OPEN_FAILURE or DATA for that channel.
 *
 * The peer's application may take its time, so the shortest measurement counts.
 * None may be too short: a frame that was under way before the probe is no
 * answer to it. CLOSE is therefore no probe, because DATA and the peer's own
 * CLOSE may cross it.
 */
export class RoundTrip {
  readonly #clock: PlainClock;
  #shortest: number | undefined;
  #smoothed: number | undefined;
  /** The probe under way; there is one at a time. */
  #probe: { channelId: number; sentAt: number } | undefined;
  #measured = 0;
  /** When the last measurement ended. */
  #measuredAt = 0;
  /** How many frames are still left out. */
  #toLeaveOut = 0;

  /**
   * Starts without a measurement.
   *
   * @param clock a monotonic clock
   */
  constructor(clock: PlainClock) {
    this.#clock = clock;
  }

  /** The shortest round trip so far, in milliseconds; undefined before the first. */
  get shortest(): number | undefined {
    return this.#shortest;
  }

  /**
   * The usual round trip, in milliseconds; undefined before the first. It is that
   * of OPENs, which the peer's session answers without its application, and follows
   * the latest ones as TCP's does: each counts for an eighth.
   */
  get smoothed(): number | undefined {
    return this.#smoothed;
  }

  /** Starts a measurement: a probe is being sent on a channel. */
  probeSent(channelId: number): void {
    if (this.#toLeaveOut > 0 && --this.#toLeaveOut % ONE_IN_IF_OLD > 0) return;
    const now = this.#clock.now();
    if (this.#toLeaveOut > 0 && now - this.#measuredAt < OLD) return;
    if (this.#probe === undefined || now - this.#probe.sentAt > PROBE_TIMEOUT) {
      this.#probe = { channelId, sentAt: now };
    }
  }

  /**
   * Ends the measurement if its probe was sent on this channel.
   *
   * @param isOpen whether the probe was an OPEN
   */
  probeAnswered(channelId: number, isOpen = false): void {
    if (this.#probe?.channelId !== channelId) return;
    const now = this.#clock.now();
    const ms = now - this.#probe.sentAt;
    this.observe(ms);
    if (isOpen) {
      const before = this.#smoothed ?? ms;
      this.#smoothed = before + (ms - before) / 8;
    }
    this.#probe = undefined;
    const isOld = now - this.#measuredAt >= OLD;
    this.#measuredAt = now;
    this.#toLeaveOut = ++this.#measured < EVERY_ONE || isOld ? 0 : ONE_IN;
  }

  /** Takes a round trip of at most `ms` milliseconds into account. */
  observe(ms: number): void {
    this.#shortest = Math.min(this.#shortest ?? Infinity, ms);
  }

  /** Drops the probe of a channel that has closed. */
  forget(channelId: number): void {
    if (this.#probe?.channelId === channelId) this.#probe = undefined;
  }
}
