import type { PeerCertificate } from "../../../mux/internal.ts";
import type { Caller, CallingPeer } from "../../../rpc/internal.ts";
import { type Place, refusal } from "../wire.ts";
import type { RendezvousLimits } from "./options.ts";

/** What is under way for one side: a session that dials, or a registration. */
export interface Share {
  /** Meetings that wait for an answer. */
  meetings: number;
  /** Connections that are relayed. */
  relays: number;
}

/** A registration of a name. */
export interface Registration extends Share {
  /** The certificate of the key that owns the name. */
  readonly certificate: PeerCertificate;
  /** Calls the peer. */
  readonly caller: Caller;
  /** The session of the peer with the rendezvous. */
  readonly peer: CallingPeer;
  /** Its addresses in its own networks. */
  readonly local: readonly Place[];
  /** Ends it, because the same key registers the name again. */
  readonly takeOver: () => void;
}

/** A name whose peer was lost. */
interface KeptName {
  /** The key that may register it. */
  readonly fingerprint: string;
  /** When it is free again. */
  readonly until: number;
}

/** The names that are registered, and those that are kept for peers that were lost. */
export class Names {
  readonly #limits: RendezvousLimits;
  readonly #now: () => number;
  readonly #names = new Map<string, Registration>();
  /** Names whose peers were lost, in the order in which they become free. */
  readonly #kept = new Map<string, KeptName>();

  /** Makes an empty table. */
  constructor(limits: RendezvousLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /** How many names are registered. */
  get size(): number {
    return this.#names.size;
  }

  /** What has registered a name; undefined if nothing has. */
  get(name: string): Registration | undefined {
    return this.#names.get(name);
  }

  /**
   * Gives a name to a peer. If its key has the name already, that is a second
   * listener, or the peer has come back before its old session was lost: the new
   * registration takes over. All of this is in one turn, so that of two keys that ask
   * at once, one gets the name.
   *
   * @throws {CallError} if the name belongs to another key, or a limit is reached
   */
  register(name: string, registration: Registration): void {
    const { maxNames, maxNamesPerSession } = this.#limits;
    const before = this.#names.get(name);
    this.#freeNames();
    const owner = before?.certificate ?? this.#kept.get(name);
    const { fingerprint } = registration.certificate;
    if (owner !== undefined && owner.fingerprint !== fingerprint) {
      throw refusal(
        "name-taken",
        before === undefined
          ? "the name is kept for the peer with another key that was lost"
          : "another key has registered the name",
      );
    }
    const own = [...this.#names.values()].filter(({ peer }) =>
      peer === registration.peer
    );
    if (own.length >= maxNamesPerSession) {
      throw refusal(
        "limit-exceeded",
        `the session has ${maxNamesPerSession} names already`,
      );
    }
    if (before === undefined && this.#names.size >= maxNames) {
      throw refusal("limit-exceeded", `there are ${maxNames} names already`);
    }
    before?.takeOver();
    this.#names.set(name, registration);
    this.#kept.delete(name);
    this.#limitKept();
  }

  /**
   * Ends a registration, unless another one has taken the name over.
   *
   * @param isLost whether the name is to be kept for the peer
   */
  remove(name: string, registration: Registration, isLost: boolean): void {
    if (this.#names.get(name) !== registration) return;
    this.#names.delete(name);
    if (isLost) this.#keep(name, registration.certificate.fingerprint);
  }

  /** Keeps the name of a peer that was lost. */
  #keep(name: string, fingerprint: string): void {
    const { nameGrace } = this.#limits;
    if (nameGrace === 0) return;
    // Last in the order of the map.
    this.#kept.delete(name);
    this.#kept.set(name, { fingerprint, until: this.#now() + nameGrace });
    this.#limitKept();
  }

  /** Forgets names that have been kept for long enough. */
  #freeNames(): void {
    const now = this.#now();
    for (const [name, { until }] of this.#kept) {
      if (until > now) return;
      this.#kept.delete(name);
    }
  }

  /** Kept names give way to registered ones. */
  #limitKept(): void {
    for (const name of this.#kept.keys()) {
      if (this.#names.size + this.#kept.size <= this.#limits.maxNames) return;
      this.#kept.delete(name);
    }
  }
}
