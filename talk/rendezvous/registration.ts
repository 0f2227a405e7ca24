import { toHex } from "../../hex.ts";
import type {
  QuicEndpointLike,
  SchemeListenTerms,
} from "../../mux/internal.ts";
import type { Handler, RpcResponse } from "../../rpc/internal.ts";
import { dial } from "../dial/dial.ts";
import type { Peer } from "../peer.ts";
import { Backoff, wait } from "../reconnect/backoff.ts";
import { localPlaces, socketFor } from "./connection/direct.ts";
import { meetingError, RendezvousError, throwOfRendezvous } from "./errors.ts";
import type { Identity } from "./identity.ts";
import { knownAs } from "./known_as.ts";
import type { PeerAddress } from "./peer_address.ts";
import { SELECTORS, TAKEN_OVER } from "./wire.ts";

/** Milliseconds that the rendezvous has for each answer. */
const ANSWER_TIME = 30_000;
/**
 * Milliseconds after which the name counts as held, so that the pauses begin again
 * with the shortest one. Of two listeners with the same key, each takes the name from
 * the other after its own pause: this is twice the longest one, so that both keep to
 * long pauses.
 */
const STABLE_TIME = 60_000;

/** What is registered, and where. */
export interface RegistrationTerms {
  /** The name, and the address of the rendezvous. */
  readonly address: PeerAddress;
  /** The key that the name belongs to. */
  readonly identity: Identity;
  /** How to reach the rendezvous. */
  readonly rendezvous: SchemeListenTerms["rendezvous"];
  /** The socket of this side, if there can be one. */
  readonly socket: QuicEndpointLike | undefined;
  /** Answers the calls of the rendezvous. */
  readonly handler: Handler;
  /** See {@linkcode SchemeListenTerms.onUnreachable}. */
  readonly onUnreachable: SchemeListenTerms["onUnreachable"];
}

/**
 * The name of a listening peer at its rendezvous. It is registered again whenever it
 * is lost, in as many attempts as that takes: what refuses it now, such as another
 * peer that has the name, may be gone later.
 */
export class OwnRegistration {
  readonly #terms: RegistrationTerms;
  readonly #backoff = new Backoff({}, Math.random);
  /** Gives the name up: it is registered by a call that goes on until then. */
  readonly #stop = new AbortController();
  /** The latest session with the rendezvous. */
  #session: Peer | undefined;
  /** Resolves when nothing registers the name again. */
  #kept: Promise<void> | undefined;
  /** The kind of the error that was reported last, until the name is registered. */
  #reported: string | undefined;
  /** Whether another listener with the same key has taken the name. */
  #isTakenOver = false;
  /** Whether that was reported, until the name was held for a while. */
  #isContested = false;

  /** Registers nothing yet. */
  constructor(terms: RegistrationTerms) {
    this.#terms = terms;
  }

  /**
   * Registers the name.
   *
   * @throws {RendezvousError} if the rendezvous refuses
   * @throws {TalkError} if the rendezvous cannot be dialed
   */
  async start(): Promise<void> {
    await this.#register();
    this.#kept = this.#keep();
  }

  /**
   * Gives the name up. The session with the rendezvous stays open, for the connections
   * that it relays.
   */
  giveUp(): void {
    this.#stop.abort();
  }

  /** Closes the session with the rendezvous. */
  async close(): Promise<void> {
    this.giveUp();
    await this.#session?.close();
    await this.#kept;
  }

  /** Registers the name again whenever it is lost. */
  async #keep(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const since = performance.now();
      await this.#session!.closed.catch(() => {});
      const duration = performance.now() - since;
      if (duration >= STABLE_TIME) {
        this.#backoff.connectionLasted(duration);
        this.#isContested = false;
      }
      if (this.#isTakenOver) this.#reportContest();
      await this.#registerAgain();
    }
  }

  /** Tries until the name is registered. */
  async #registerAgain(): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      await wait(this.#backoff.next(), signal);
      if (signal.aborted) return;
      try {
        await this.#register();
        this.#reported = undefined;
        return;
      } catch (error) {
        if (!signal.aborted) this.#report(error);
      }
    }
  }

  /** Connects to the rendezvous, and registers the name. */
  async #register(): Promise<void> {
    const { address, rendezvous, socket, handler } = this.#terms;
    const session = this.#session = await dial(address.rendezvous, {
      tls: rendezvous?.tls,
      headers: rendezvous?.headers,
      endpoint: socketFor(address.rendezvous, socket),
      handler,
      signal: this.#stop.signal,
      onError() {},
    }).catch(throwOfRendezvous);
    try {
      await this.#prove(session);
    } catch (error) {
      await session.close();
      throw meetingError(error);
    }
  }

  /** Registers the name on a session. */
  async #prove(session: Peer): Promise<void> {
    const { address, identity, rendezvous, socket } = this.#terms;
    const limits = { signal: this.#stop.signal, timeout: ANSWER_TIME };
    const known = knownAs(address.rendezvous, rendezvous?.tls);
    const nonce = await session.call(SELECTORS.challenge, undefined, limits);
    const { name } = address;
    const signature = identity.prove({
      purpose: "register",
      subject: `${name}@${known}`,
      nonce: String(nonce),
    });
    const response = await session.request(SELECTORS.register, [{
      name,
      rendezvous: known,
      certificate: toHex(identity.certificate),
      signature: toHex(signature),
      local: localPlaces(socket),
    }], limits);
    void this.#watch(session, response);
  }

  /** If the rendezvous gives up the name, this side asks for it again. */
  async #watch(session: Peer, response: RpcResponse): Promise<void> {
    const ending = await response.receive().catch(() => {});
    if (this.#stop.signal.aborted) return;
    // A session that was lost has been replaced by this side itself.
    this.#isTakenOver = ending === TAKEN_OVER && session === this.#session;
    await session.close();
  }

  /** Reports that another listener takes the name, unless that is known. */
  #reportContest(): void {
    this.#isTakenOver = false;
    if (this.#isContested) return;
    this.#isContested = true;
    this.#terms.onUnreachable?.(
      new RendezvousError(
        "taken-over",
        "another listener with the same key has registered the name",
      ),
    );
  }

  /** Reports why the name is not registered, when the kind of error changes. */
  #report(error: unknown): void {
    const { code, permanent } = (error ?? {}) as Record<string, unknown>;
    const kind = `${code} ${permanent}`;
    if (kind === this.#reported) return;
    this.#reported = kind;
    this.#terms.onUnreachable?.(error);
  }
}
