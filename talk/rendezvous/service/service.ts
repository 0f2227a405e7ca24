import type { Channel, PeerCertificate } from "../../../mux/internal.ts";
import {
  type Call,
  CallError,
  type CallingPeer,
  type HandlerObject,
  type Responder,
  Router,
  RpcError,
} from "../../../rpc/internal.ts";
import {
  type CertificateOptions,
  listenerCertificate,
} from "../../peer_keys.ts";
import type { Peer } from "../../peer.ts";
import { checkProof, newNonce, readCertificate } from "../identity.ts";
import { identitiesIn, isKnownAs } from "../known_as.ts";
import {
  ANSWER_TIME,
  type MeetRequest,
  meetRequest,
  refusal,
  registerRequest,
  SELECTORS,
  TAKEN_OVER,
} from "../wire.ts";
import { Meetings } from "./meetings.ts";
import { Names, type Registration, type Share } from "./names.ts";
import { type RendezvousOptions, resolveRendezvousOptions } from "./options.ts";
import { Relays } from "./relays.ts";

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

/** The service; tests give it a clock. */
export class Service implements RendezvousService {
  readonly #identities: readonly string[] | undefined;
  readonly #router = new Router();
  readonly #names: Names;
  readonly #meetings: Meetings;
  readonly #relays: Relays;
  /** What is in the certificates of listeners, which are read once. */
  readonly #read = new WeakMap<CertificateOptions, readonly string[]>();
  readonly #nonces = new WeakMap<CallingPeer, string>();
  /** What sessions that dial have under way. */
  readonly #dialing = new WeakMap<CallingPeer, Share>();

  constructor(
    options: RendezvousOptions,
    now: () => number = () => performance.now(),
  ) {
    const { limits, identities } = resolveRendezvousOptions(options);
    this.#identities = identities;
    this.#names = new Names(limits, now);
    this.#meetings = new Meetings(limits);
    this.#relays = new Relays(limits, now);
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
      meetings: this.#meetings.total,
      ...this.#relays.stats,
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
    const proof = {
      purpose: "register",
      subject: `${name}@${rendezvous}`,
      nonce,
    } as const;
    let certificate: PeerCertificate;
    try {
      certificate = checkProof(request.certificate, proof, signature);
    } catch (cause) {
      throw refusal("bad-proof", (cause as Error).message);
    }
    const identities = this.#identitiesFor(call.peer);
    if (identities !== undefined && !isKnownAs(rendezvous, identities)) {
      throw refusal(
        "bad-proof",
        `the registration is for another rendezvous, ${
          JSON.stringify(rendezvous)
        }`,
      );
    }
    let channel: Channel | undefined;
    const end = () => {
      this.#names.remove(name, registration, !isGivenUp(call.signal));
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
    this.#names.register(name, registration);
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
    await respond.return(
      this.#meetings.begin(
        call.peer,
        this.#shareOf(call.peer),
        request.local,
        found,
      ),
    );
  }

  /** Passes bytes on between two peers. */
  async #relay(call: Call, respond: Responder): Promise<void> {
    const found = this.#find(meetRequest(await call.receive()));
    const relay = this.#relays.begin(found, this.#shareOf(call.peer));
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
      await this.#relays.pass(relay, near, far);
    } finally {
      this.#relays.forget(relay);
    }
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

function notReached(cause: unknown): CallError {
  return new CallError("the peer is registered, but did not answer", {
    code: "not-reached",
    cause,
  });
}
