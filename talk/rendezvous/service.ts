import type { Channel, PeerCertificate } from "../../mux/internal.ts";
import { isRawChannel, pipe, splice } from "../../mux/internal_server.ts";
import { checkList, checkObject, checkOption } from "../../check_option.ts";
import {
  type Call,
  type Caller,
  CallError,
  type CallingPeer,
  type HandlerObject,
  type Responder,
  Router,
  RpcError,
} from "../../rpc/internal.ts";
import {
  type CertificateOptions,
  listenerCertificate,
  type Peer,
} from "../peer.ts";
import { checkProof, newNonce, readCertificate } from "./identity.ts";
import { checkIdentities, identitiesIn, isKnownAs } from "./known_as.ts";
import {
  type MeetRequest,
  meetRequest,
  type Place,
  placeOf,
  type Places,
  registerRequest,
  SELECTORS,
  TAKEN_OVER,
} from "./wire.ts";

/** Milliseconds that a registered peer has for an answer. */
const ANSWER_TIME = 5_000;

/**
 * Milliseconds without a byte after which a relayed connection gives way to another
 * one. Peers end a session themselves after 28 s of silence, and ask before that.
 */
const RELAY_SILENCE = 30_000;

/** Limits of a rendezvous. */
export interface RendezvousOptions {
  /**
   * Names that are registered or kept for lost peers at the same time. When there
   * are more, kept names are dropped, the oldest first. An integer of at least 1.
   * Default: 4,096.
   */
  maxNames?: number | undefined;
  /** Names of one session. An integer of at least 1. Default: 4. */
  maxNamesPerSession?: number | undefined;
  /**
   * Meetings that wait at the same time for the answer of their listening peer. When
   * there are more, the oldest one waits no longer. An integer of at least 1. Default:
   * 1,024.
   */
  maxMeetings?: number | undefined;
  /**
   * The same for one listening peer. When there are more, the peer is not asked, and
   * learns nothing of the one that dials. An integer of at least 1. Default: 16.
   */
  maxMeetingsPerName?: number | undefined;
  /**
   * The same for one session that dials. `dial()` makes one meeting after another. An
   * integer of at least 1. Default: 8.
   */
  maxMeetingsPerSession?: number | undefined;
  /**
   * Connections that are relayed at once. When there are more, one through which
   * nothing has passed for 30 s gives way. An integer of at least 0; 0 turns relaying
   * off. Default: 256.
   */
  maxRelays?: number | undefined;
  /** The same for one listening peer. An integer of at least 0. Default: 32. */
  maxRelaysPerName?: number | undefined;
  /**
   * The same for one session that dials. `dial()` makes a session for each connection.
   * An integer of at least 0. Default: 8.
   */
  maxRelaysPerSession?: number | undefined;
  /**
   * Bytes of one relayed connection, in both directions together, after which it
   * ends. A number of at least 0. Default: 1,024 MiB.
   */
  maxRelayedSize?: number | undefined;
  /**
   * Milliseconds for which the name of a peer that was lost is kept for its key:
   * meanwhile, no other key can register it. A number of at least 0. Default: 60,000.
   */
  nameGrace?: number | undefined;
  /**
   * How peers may identify this rendezvous: the hosts in its addresses, and the
   * SHA-256 fingerprints of certificates that they pin. A registration that was
   * made for another rendezvous is refused. Default: the certificate of the
   * listener and the names in it; for a listener without one, such as at `tcp:` or
   * after a proxy, registrations are not checked.
   */
  identities?: readonly string[] | undefined;
}

/** The options that are numbers. */
type Limits = Omit<RendezvousOptions, "identities">;

/** The defaults of {@linkcode RendezvousOptions} that are numbers. */
export const DEFAULT_RENDEZVOUS_OPTIONS: Readonly<
  Record<Exclude<keyof RendezvousOptions, "identities">, number>
> = Object.freeze({
  maxNames: 4_096,
  maxNamesPerSession: 4,
  maxMeetings: 1_024,
  maxMeetingsPerName: 16,
  maxMeetingsPerSession: 8,
  maxRelays: 256,
  maxRelaysPerName: 32,
  maxRelaysPerSession: 8,
  maxRelayedSize: 2 ** 30,
  nameGrace: 60_000,
});

/** Figures of a rendezvous. */
export interface RendezvousStats {
  /** Names that are registered. */
  readonly names: number;
  /** Meetings: addresses that were given to a dialing peer. */
  readonly meetings: number;
  /** Connections that are relayed now. */
  readonly relays: number;
  /** Connections that were relayed in all, including those that are relayed now. */
  readonly relaysTotal: number;
  /** Bytes that were relayed, in both directions together. */
  readonly relayedBytes: number;
}

/**
 * The service of a rendezvous: it answers the calls that peers make for `peer:`
 * addresses.
 */
export interface RendezvousService extends HandlerObject {
  /** Its current figures. */
  readonly stats: RendezvousStats;
}

/**
 * Makes the service through which peers behind NATs find each other by name. Pass it
 * to `listen()` as the `handler`. At a `quic:` address, peers learn how to reach each
 * other directly; at other addresses, the service relays their connections.
 *
 * @example
 * ```ts
 * import { listen } from "@qtalk/qtalk";
 * import { rendezvousService } from "@qtalk/qtalk/rendezvous";
 * import { assertEquals } from "@std/assert";
 *
 * const service = rendezvousService({ maxRelays: 16 });
 * await using listener = await listen("tcp://127.0.0.1:0", { handler: service });
 * assertEquals(service.stats.names, 0);
 * ```
 *
 * @param options limits, and how peers may identify the rendezvous
 * @throws {RangeError} if a limit is out of range
 * @throws {TypeError} if one of `identities` is neither a host nor a fingerprint
 */
export function rendezvousService(
  options: RendezvousOptions = {},
): RendezvousService {
  return new Service(options);
}

/** What is under way for one side. */
interface Share {
  /** Meetings that wait for an answer. */
  meetings: number;
  /** Connections that are relayed. */
  relays: number;
}

/** A name that is registered. */
interface Registration extends Share {
  readonly certificate: PeerCertificate;
  /** Calls the peer. */
  readonly caller: Caller;
  readonly peer: CallingPeer;
  /** Its addresses in its own networks. */
  readonly local: readonly Place[];
  /** Ends it, because the same key registers the name again. */
  readonly takeOver: () => void;
}

/** A connection that is relayed, or is about to be. */
interface Relay {
  /** The listening peer. */
  readonly to: Registration;
  /** The session that dials. */
  readonly own: Share;
  /** When a byte has passed last. */
  last: number;
  /** Ends it; undefined while it has not begun. */
  end?: (error: Error) => void;
}

/** A name whose peer was lost. */
interface KeptName {
  /** The key that may register it. */
  readonly fingerprint: string;
  /** When it is free again. */
  readonly until: number;
}

/** The service; tests give it a clock. */
export class Service implements RendezvousService {
  readonly #limits: Readonly<Record<keyof Limits, number>>;
  readonly #identities: readonly string[] | undefined;
  readonly #now: () => number;
  readonly #router = new Router();
  readonly #names = new Map<string, Registration>();
  /** Names whose peers were lost, in the order in which they become free. */
  readonly #kept = new Map<string, KeptName>();
  /** What is in the certificates of listeners, which are read once. */
  readonly #read = new WeakMap<CertificateOptions, readonly string[]>();
  readonly #nonces = new WeakMap<CallingPeer, string>();
  /** Meetings that wait for an answer, the oldest first. */
  readonly #waiting = new Set<AbortController>();
  readonly #relays = new Set<Relay>();
  /** What sessions that dial have under way. */
  readonly #dialing = new WeakMap<CallingPeer, Share>();
  #meetings = 0;
  #relaysTotal = 0;
  #relayedBytes = 0;

  constructor(
    options: RendezvousOptions,
    now: () => number = () => performance.now(),
  ) {
    checkObject("options of rendezvousService()", options);
    const { identities, ...limits } = options;
    checkList("identities", identities);
    const given = Object.entries(limits).filter(([, value]) =>
      value !== undefined
    );
    const resolved = {
      ...DEFAULT_RENDEZVOUS_OPTIONS,
      ...Object.fromEntries(given) as Partial<Record<keyof Limits, number>>,
    };
    for (const name of Object.keys(DEFAULT_RENDEZVOUS_OPTIONS)) {
      const key = name as keyof Limits;
      const min = /Relay|Grace/.test(key) ? 0 : 1;
      const fraction = key === "maxRelayedSize" || key === "nameGrace";
      checkOption(key, resolved[key], { min, max: Infinity, fraction });
    }
    this.#limits = resolved;
    this.#identities = checkIdentities(identities);
    this.#now = now;
    const router = this.#router;
    router.handle(SELECTORS.challenge, (call, respond) => {
      const nonce = newNonce();
      this.#nonces.set(call.peer, nonce);
      return respond.return(nonce);
    });
    router.handle(
      SELECTORS.register,
      (call, respond) => this.#register(call, respond),
    );
    router.handle(SELECTORS.meet, (call, respond) => this.#meet(call, respond));
    router.handle(
      SELECTORS.relay,
      (call, respond) => this.#relay(call, respond),
    );
  }

  get stats(): RendezvousStats {
    return {
      names: this.#names.size,
      meetings: this.#meetings,
      relays: this.#relays.size,
      relaysTotal: this.#relaysTotal,
      relayedBytes: this.#relayedBytes,
    };
  }

  respond(call: Call, respond: Responder): void | Promise<void> {
    return this.#router.respond(call, respond);
  }

  /** Registers a name for as long as the call goes on. */
  async #register(call: Call, respond: Responder): Promise<void> {
    const request = registerRequest(await call.receive());
    const { name, rendezvous, signature, local } = request;
    const nonce = this.#nonces.get(call.peer);
    // Each nonce is for one proof.
    this.#nonces.delete(call.peer);
    if (nonce === undefined) {
      throw refusal("bad-proof", "the peer has not asked for a nonce");
    }
    const certificate = checked(() =>
      checkProof(
        request.certificate,
        { purpose: "register", subject: `${name}@${rendezvous}`, nonce },
        signature,
      )
    );
    const identities = this.#identitiesFor(call.peer);
    if (identities !== undefined && !isKnownAs(rendezvous, identities)) {
      throw refusal(
        "bad-proof",
        `the registration is for another rendezvous, ${
          JSON.stringify(rendezvous)
        }`,
      );
    }
    const { maxNames, maxNamesPerSession } = this.#limits;
    const before = this.#names.get(name);
    this.#freeNames();
    const { fingerprint } = certificate;
    const owner = before?.certificate ?? this.#kept.get(name);
    if (owner !== undefined && owner.fingerprint !== fingerprint) {
      throw refusal(
        "name-taken",
        before === undefined
          ? "the name is kept for the peer with another key that was lost"
          : "another key has registered the name",
      );
    }
    const own = [...this.#names.values()].filter(({ peer }) =>
      peer === call.peer
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
    let channel: Channel | undefined;
    const end = () => {
      if (this.#names.get(name) === registration) {
        this.#names.delete(name);
        if (!isGivenUp(call.signal)) this.#keep(name, fingerprint);
      }
      void channel?.close();
    };
    let isTakenOver = false;
    const sayTakenOver = () =>
      void respond.send(TAKEN_OVER).catch(() => {}).then(end);
    const registration: Registration = {
      certificate,
      caller: call.caller,
      peer: call.peer,
      local,
      takeOver() {
        isTakenOver = true;
        if (channel !== undefined) sayTakenOver();
      },
      meetings: 0,
      relays: 0,
    };
    // The same key: a second listener, or the peer has come back before its old
    // session was lost. All of this is in one turn, so that of two keys that ask at
    // once, one gets the name.
    before?.takeOver();
    this.#names.set(name, registration);
    this.#kept.delete(name);
    this.#limitKept();
    if (call.signal.aborted) return end();
    call.signal.addEventListener("abort", end, { once: true });
    try {
      channel = await respond.continue();
    } catch (error) {
      end();
      throw error;
    }
    if (isTakenOver) sayTakenOver();
    else if (this.#names.get(name) !== registration) void channel.close();
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

  /** What a peer may know this rendezvous as; undefined if that is not known. */
  #identitiesFor(peer: CallingPeer): readonly string[] | undefined {
    if (this.#identities !== undefined) return this.#identities;
    const options = (peer as Partial<Peer>)[listenerCertificate];
    if (options === undefined) return undefined;
    let identities = this.#read.get(options);
    if (identities === undefined) {
      identities = identitiesIn(readCertificate(options.cert));
      this.#read.set(options, identities);
    }
    return identities;
  }

  /**
   * Asks a listening peer to open a way for a dialing one, and answers with its
   * addresses.
   */
  async #meet(call: Call, respond: Responder): Promise<void> {
    const request = meetRequest(await call.receive());
    const found = this.#find(request);
    const own = this.#shareOf(call.peer);
    if (own.meetings >= this.#limits.maxMeetingsPerSession) {
      throw refusal("limit-exceeded", "too many meetings now");
    }
    const here = placesOf(call.peer, request.local);
    const there = placesOf(found.peer, found.local);
    const [near, far] = delays(call.peer, found.peer);
    this.#meetings++;
    this.#punch(found, own, { ...here, delay: far! });
    await respond.return({ ...there, delay: near });
  }

  /**
   * Lets a listening peer open a way. Its answer is not awaited: the peers are to send
   * at the same time. If it does not answer, there is no direct way. So the limits of
   * meetings are no errors for the dialing peer, which has the relay.
   */
  #punch(found: Registration, own: Share, places: Places): void {
    const { maxMeetings, maxMeetingsPerName } = this.#limits;
    if (found.meetings >= maxMeetingsPerName) return;
    const waiting = new AbortController();
    this.#waiting.add(waiting);
    found.meetings++;
    own.meetings++;
    const [oldest] = this.#waiting;
    // Peers that never answer must not keep others from meeting.
    if (this.#waiting.size > maxMeetings) {
      this.#waiting.delete(oldest!);
      oldest!.abort();
    }
    void found.caller.call(SELECTORS.punch, [places], {
      timeout: ANSWER_TIME,
      signal: waiting.signal,
    }).catch(() => {}).finally(() => {
      this.#waiting.delete(waiting);
      found.meetings--;
      own.meetings--;
    });
  }

  /** Passes bytes on between two peers. */
  async #relay(call: Call, respond: Responder): Promise<void> {
    const found = this.#find(meetRequest(await call.receive()));
    const relay = this.#beginRelay(found, this.#shareOf(call.peer));
    try {
      const there = await found.caller.request(SELECTORS.stream, [], {
        signal: call.signal,
        timeout: ANSWER_TIME,
      }).catch((cause) => {
        throw notReached(cause);
      });
      const far = there.channel;
      if (far === undefined) throw notReached(undefined);
      // The dialing peer may leave no room for the answer.
      relay.end = () => void far.close();
      const near = await respond.continue();
      if (!isRawChannel(near) || !isRawChannel(far)) {
        return await splice(near, far);
      }
      relay.end = (error) => {
        near.abort(error);
        far.abort(error);
      };
      let left = this.#limits.maxRelayedSize;
      const count = ({ length }: Uint8Array) => {
        this.#relayedBytes += length;
        relay.last = this.#now();
        left -= length;
        if (left >= 0) return;
        relay.end!(new Error("the limit of the relay is reached"));
      };
      await Promise.all([pipe(near, far, count), pipe(far, near, count)]);
      await Promise.allSettled([near.closed, far.closed]);
    } finally {
      this.#forget(relay);
    }
  }

  /** Counts a relay; silent ones give way to it. */
  #beginRelay(to: Registration, own: Share): Relay {
    const { maxRelays, maxRelaysPerName, maxRelaysPerSession } = this.#limits;
    if (own.relays >= maxRelaysPerSession) {
      throw refusal("limit-exceeded", "too many relays now");
    }
    const isFullFor = () => to.relays >= maxRelaysPerName;
    const isFull = () => this.#relays.size >= maxRelays || isFullFor();
    if (isFull()) this.#endSilent(isFullFor() ? to : undefined);
    if (isFull()) {
      throw refusal("limit-exceeded", "too many relays now");
    }
    const relay: Relay = { to, own, last: this.#now() };
    this.#relays.add(relay);
    this.#relaysTotal++;
    to.relays++;
    own.relays++;
    return relay;
  }

  /** Ends the relay that has been silent for longest, if it has been for long. */
  #endSilent(to: Registration | undefined): void {
    const [oldest] = [...this.#relays]
      .filter((relay) =>
        relay.end !== undefined && relay.to === (to ?? relay.to)
      )
      .sort((one, other) => one.last - other.last);
    if (oldest === undefined) return;
    if (this.#now() - oldest.last < RELAY_SILENCE) return;
    this.#forget(oldest);
    oldest.end!(new Error("nothing has passed, and others need the relay"));
  }

  #forget(relay: Relay): void {
    if (!this.#relays.delete(relay)) return;
    relay.to.relays--;
    relay.own.relays--;
  }

  #shareOf(peer: CallingPeer): Share {
    const share = this.#dialing.get(peer) ?? { meetings: 0, relays: 0 };
    this.#dialing.set(peer, share);
    return share;
  }

  #find({ name, fingerprint }: MeetRequest): Registration {
    const found = this.#names.get(name);
    if (found === undefined) {
      throw refusal("unknown-peer", "no peer is registered under the name");
    }
    if (found.certificate.fingerprint !== fingerprint) {
      throw refusal("other-key", "the peer of that name has another key");
    }
    return found;
  }
}

/** Whether a peer has ended its registration itself, and was not lost. */
function isGivenUp({ reason }: AbortSignal): boolean {
  return reason instanceof RpcError && reason.code === "cancelled";
}

/** The addresses at which a peer can be reached. */
function placesOf(
  { remoteAddr }: CallingPeer,
  local: readonly Place[],
): Pick<Places, "seen" | "local"> {
  return { seen: placeOf(remoteAddr), local };
}

/**
 * How long each of two peers waits, so that both send at the same time. A router that
 * accepts unsolicited packets treats one that comes early as a separate connection,
 * and then gives its host another port.
 */
function delays(...peers: CallingPeer[]): number[] {
  // Half of a round trip: the time until the peer gets the message.
  const times = peers.map((peer) => ((peer as Partial<Peer>).rtt ?? 0) / 2);
  const longest = Math.max(...times);
  return times.map((time) => longest - time);
}

function checked<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    throw refusal("bad-proof", (cause as Error).message);
  }
}

function notReached(cause: unknown): CallError {
  return new CallError("the peer is registered, but did not answer", {
    code: "not-reached",
    cause,
  });
}

function refusal(code: string, text: string): CallError {
  return new CallError(text, { code });
}
