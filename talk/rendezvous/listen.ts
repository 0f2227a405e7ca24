import {
  type Accepted,
  type HandshakeLimit,
  nextTurn,
  type PeerCertificate,
  type SchemeListenTerms,
  TlsError,
  type TransportListener,
} from "../../mux/internal.ts";
import {
  type Guard,
  listenQuic,
  PendingAccepts,
  pinsOf,
  type QuicConnLike,
  type QuicEndpointLike,
  socketOver,
} from "../../mux/internal_deno.ts";
import { type Call, type Responder, Router } from "../../rpc/internal.ts";
import { timeLimit } from "../../time_limit.ts";
import {
  DirectStream,
  ownSocket,
  PeerConnection,
  proofStream,
  punch,
} from "./connection/direct.ts";
import { type Identity, loadIdentity } from "./identity.ts";
import { MovableSessions } from "./connection/moving.ts";
import {
  parsePeerAddress,
  type PeerAddress,
  peerAddress,
} from "./peer_address.ts";
import { demandProof, Messages } from "./connection/proof.ts";
import { OwnRegistration } from "./registration.ts";
import {
  channelTransport,
  RelayedTransport,
  relayGuard,
} from "./connection/relayed.ts";
import { MOVE_PROTOCOL, PEER_PROTOCOL, placesFrom, SELECTORS } from "./wire.ts";

/** How many dialing peers this one opens a way for at once. */
const MAX_PUNCHES = 16;
/** Milliseconds for which a peer counts towards {@linkcode MAX_PUNCHES}. */
const PUNCH_TIME = 2_500;
/** Milliseconds that a refused peer has to read the refusal. */
const REFUSAL_TIME = 1_000;
/** The time limit of a handshake, unless the program sets one. */
const HANDSHAKE: HandshakeLimit = { timeout: 30_000, onTimeout() {} };

/**
 * Listens under a name at a rendezvous. Resolves when the name is registered.
 *
 * @param rest the address, after `peer:`
 * @param options the key of this side, and which peers to accept
 * @param handshake limits the time of a handshake
 * @throws {SyntaxError} if the address has another form
 * @throws {TypeError} if an option is missing or not valid
 * @throws {RendezvousError} `name-taken`, `limit-exceeded`
 * @throws {TalkError} if the rendezvous cannot be dialed
 */
export async function listenAsPeer(
  rest: string,
  options: SchemeListenTerms = {},
  handshake: HandshakeLimit = HANDSHAKE,
): Promise<TransportListener> {
  const listener = new PeerListener(parsePeerAddress(rest), options, handshake);
  await listener.start();
  return listener;
}

/** Accepts the peers that dial a name. */
class PeerListener implements TransportListener {
  readonly addr: string;
  readonly #options: SchemeListenTerms;
  readonly #handshake: HandshakeLimit;
  readonly #identity: Identity;
  readonly #pins: readonly string[] | undefined;
  readonly #guard: Guard;
  readonly #own: QuicEndpointLike | undefined;
  readonly #socket: QuicEndpointLike | undefined;
  readonly #direct: TransportListener | undefined;
  readonly #pending = new PendingAccepts();
  readonly #sessions: MovableSessions;
  readonly #stop = new AbortController();
  /** Resolves when the socket is closed. */
  readonly #released = Promise.withResolvers<void>();
  readonly #registration: OwnRegistration;
  /** For each peer that a way is being opened for, what cancels its time limit. */
  readonly #punches = new Set<() => void>();
  /** Connections that have not ended, and the handshakes of relayed ones. */
  #open = 0;
  #closed = false;

  constructor(
    address: PeerAddress,
    options: SchemeListenTerms,
    handshake: HandshakeLimit,
  ) {
    const { tls, endpoint } = options;
    const identity = this.#identity = loadIdentity(tls);
    this.#options = options;
    this.#handshake = handshake;
    const { fingerprint } = identity;
    if (
      address.fingerprint !== undefined && address.fingerprint !== fingerprint
    ) {
      throw new TypeError(
        `the fingerprint in the address is not that of option "tls.cert", which is "${fingerprint}"`,
      );
    }
    this.addr = peerAddress({ ...address, fingerprint });
    this.#pins = pinsOf(tls?.pin);
    this.#sessions = new MovableSessions(options.session?.keepAlive);
    this.#guard = relayGuard(tls!, handshake);
    this.#own = endpoint === undefined ? ownSocket() : undefined;
    const socket = this.#socket = endpoint ?? this.#own;
    this.#registration = new OwnRegistration({
      address,
      identity,
      rendezvous: options.rendezvous,
      socket,
      handler: this.#calls(),
      onUnreachable: options.onUnreachable,
    });
    if (socket === undefined) return;
    try {
      this.#direct = listenQuic(
        undefined,
        {
          endpoint: socket,
          tls: { cert: tls!.cert, key: tls!.key },
          session: options.session,
        },
        handshake,
        {
          protocols: [PEER_PROTOCOL, MOVE_PROTOCOL],
          upgrade: (conn) => this.#upgrade(conn),
        },
      );
    } catch (error) {
      this.#own?.close();
      throw error;
    }
  }

  /** Registers the name. */
  async start(): Promise<void> {
    try {
      await this.#registration.start();
    } catch (error) {
      this.close();
      await this.#released.promise;
      throw error;
    }
    void this.#accept();
  }

  accept(): Promise<Accepted | null> {
    // This resolves when nothing is left, so that callers can wait for it.
    return this.#closed
      ? this.#released.promise.then(() => null)
      : this.#pending.next();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop.abort();
    for (const cancel of this.#punches) cancel();
    this.#direct?.close();
    this.#guard.close();
    this.#registration.giveUp();
    this.#pending.discard();
    this.#closeIfUnused();
  }

  /** Answers the calls of the rendezvous. */
  #calls(): Router {
    const router = new Router();
    router.handle(
      SELECTORS.punch,
      (call, respond) => this.#punch(call, respond),
    );
    router.handle(
      SELECTORS.stream,
      (call, respond) => this.#stream(call, respond),
    );
    return router;
  }

  /** Passes direct connections on. */
  async #accept(): Promise<void> {
    for (;;) {
      try {
        const accepted = await this.#direct?.accept() ?? null;
        if (accepted === null) return;
        this.#pending.push({ accepted });
      } catch (error) {
        return this.#pending.push({ error });
      }
    }
  }

  async #upgrade(
    conn: QuicConnLike,
  ): Promise<Omit<Accepted, "remoteAddr"> | null> {
    const stream = await proofStream(conn);
    const messages = new Messages(stream);
    const certificate = await this.#demandProof(messages).catch(
      async (error) => {
        // Closing the connection at once could lose the answer.
        if (error instanceof TlsError) await endOf(conn);
        throw error;
      },
    );
    if (conn.protocol === MOVE_PROTOCOL) {
      const moved = new DirectStream(conn, stream, messages.rest);
      // The relayed connection, which ends now, may be the only other one.
      this.#opened(conn.closed.catch(() => {}));
      await this.#sessions.move(moved, certificate.fingerprint);
      return null;
    }
    await stream.closeWrite();
    const transport = new PeerConnection(conn, this.#options.session ?? {});
    this.#opened(transport.ended);
    return { transport, tls: tlsInfo(certificate), way: "direct" };
  }

  #demandProof(messages: Messages): Promise<PeerCertificate> {
    return demandProof(messages, this.#identity.fingerprint, this.#pins);
  }

  /** Opens a way for a peer that dials. */
  async #punch(call: Call, respond: Responder): Promise<void> {
    const socket = this.#socket;
    const [places] = await call.receive() as unknown[];
    const isFull = this.#punches.size >= MAX_PUNCHES;
    if (socket !== undefined && !isFull && !this.#closed) {
      const cancel = timeLimit(PUNCH_TIME, () => this.#punches.delete(cancel));
      this.#punches.add(cancel);
      punch(socket, placesFrom(places), this.#stop.signal);
    }
    await respond.return();
  }

  /** Takes a relayed connection. */
  async #stream(call: Call, respond: Responder): Promise<void> {
    // The bytes of the connection follow the request.
    await call.receive();
    const channel = await respond.continue();
    if (this.#closed) return void channel.close();
    const ended = Promise.withResolvers<void>();
    this.#opened(ended.promise);
    const socket = socketOver(channelTransport(channel));
    let isTaken = false;
    const taken = Promise.withResolvers<void>();
    await this.#guard.shake(socket, {
      push: (accepted) => {
        isTaken = true;
        this.#admit(accepted, ended.resolve).then(
          taken.resolve,
          taken.reject,
        );
      },
    });
    if (!isTaken) return ended.resolve();
    await taken.promise;
  }

  /** Has the peer at the other end of TLS prove its key. */
  async #admit({ transport }: Accepted, onClose: () => void): Promise<void> {
    const tls = transport as ConstructorParameters<typeof RelayedTransport>[0];
    const { timeout, onTimeout, onFailure } = this.#handshake;
    let late = false;
    const cancel = timeLimit(timeout, () => {
      late = true;
      tls.abort?.();
      onTimeout("");
    });
    const stop = () => tls.abort?.();
    this.#stop.signal.addEventListener("abort", stop, { once: true });
    try {
      const messages = new Messages(tls);
      const certificate = await this.#demandProof(messages);
      const relayed = new RelayedTransport(tls, messages.rest, onClose);
      const { fingerprint } = certificate;
      const session = await this.#sessions.begin(relayed, fingerprint);
      if (late || this.#closed) return void session.close();
      this.#pending.push({
        accepted: {
          transport: session,
          via: session,
          remoteAddr: "",
          tls: tlsInfo(certificate),
          way: "relayed",
        },
      });
    } catch (error) {
      await tls.close();
      onClose();
      if (!late && error instanceof Error) onFailure?.(error, "");
    } finally {
      cancel();
      this.#stop.signal.removeEventListener("abort", stop);
    }
  }

  #opened(ended: Promise<unknown>): void {
    this.#open++;
    void ended.then(() => {
      this.#open--;
      this.#closeIfUnused();
    });
  }

  /** Closes the session and the socket, unless connections still need them. */
  #closeIfUnused(): void {
    if (!this.#closed || this.#open > 0) return;
    void this.#registration.close().finally(async () => {
      this.#own?.close();
      // Deno finishes what used the socket only when its event loop turns.
      await nextTurn();
      this.#released.resolve();
      this.#pending.end();
    });
  }
}

/** Waits until the other peer has closed a connection, or for a limited time. */
async function endOf({ closed }: QuicConnLike): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const cancel = timeLimit(REFUSAL_TIME, ended.resolve);
  closed.then(() => ended.resolve(), () => ended.resolve());
  await ended.promise;
  cancel();
}

function tlsInfo(peerCertificate: PeerCertificate) {
  return { alpnProtocol: PEER_PROTOCOL, version: "TLSv1.3", peerCertificate };
}
