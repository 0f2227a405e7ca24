import { isPermitted } from "../../decision.ts";
import { settlesWithin, timeLimit } from "../../time_limit.ts";
import { nextTurn } from "../flow/turns.ts";
import { type Handshake, Handshakes } from "../transport/handshakes.ts";
import { PendingAccepts } from "../transport/pending_accepts.ts";
import { readToEnd } from "../transport/read_to_end.ts";
import type {
  AbortableTransport,
  Accepted,
  ConnectionInfo,
  HandshakeLimit,
  TransportListener,
} from "../transport/types.ts";
import type { Transport } from "../types.ts";
import type { SessionOptions } from "../options.ts";
import { Incoming } from "./handshake/incoming.ts";
import { MAGIC } from "./handshake/messages.ts";
import { BegunTransport } from "../transport/begun_transport.ts";
import { SessionRegistry, type Site } from "./session_registry.ts";
import type { SessionStore } from "./store.ts";

/**
 * Milliseconds after which a peer that has sent nothing counts as a plain qmux peer.
 */
const FIRST_BYTE_TIME = 1_000;

/**
 * Connections after which the event loop turns before the next one is asked for. While
 * some are always ready, nothing would be read from those that were accepted: with 3,000
 * at once, others waited 300 ms, and dialers that had said HELLO were taken for silent.
 */
const ACCEPTS_PER_TURN = 16;

/** Options of a {@linkcode ResumingListener}. */
export interface ResumingListenerOptions {
  /** Where sessions are kept. */
  readonly store: SessionStore;
  /** When a silent connection is given up. */
  readonly keepAlive: SessionOptions["keepAlive"];
  /** The time for a handshake. */
  readonly handshake: HandshakeLimit;
  /**
   * Whether a session may continue over a connection. Default: it may. The caller of
   * `accept()` decides about connections that begin a session.
   */
  readonly allow?:
    | ((connection: ConnectionInfo) => boolean | Promise<boolean>)
    | undefined;
  /** Called with what `allow` throws. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/**
 * Accepts plain connections unchanged. Returns a resumable transport for a connection
 * that begins a session that can be resumed, and nothing for one that continues a
 * session.
 */
export class ResumingListener implements TransportListener, Site {
  readonly keepAlive: SessionOptions["keepAlive"];
  readonly sessions: SessionRegistry;
  readonly #source: TransportListener;
  readonly #options: ResumingListenerOptions;
  readonly #accepts = new PendingAccepts();
  readonly #handshakes = new Handshakes();
  /** Whether a call of `accept()` waits, and whether the source is asked. */
  #isWaiting = false;
  #isAsking = false;
  #isClosed = false;
  /** Whether the source has ended, and how many connections are undecided. */
  #sourceEnded = false;
  #isEnded = false;
  #undecided = 0;
  /** Connections that the source has accepted. */
  #asked = 0;

  /** Accepts the connections of another listener, and owns that listener. */
  constructor(source: TransportListener, options: ResumingListenerOptions) {
    this.#source = source;
    this.#options = options;
    this.keepAlive = options.keepAlive;
    const { store } = options;
    this.sessions = store.registry ??= new SessionRegistry(store.limits);
  }

  get addr(): string {
    return this.#source.addr;
  }

  async accept(): Promise<Accepted | null> {
    if (this.#isClosed || this.#isEnded && this.#accepts.isEmpty) return null;
    this.#isWaiting = true;
    const next = this.#accepts.next();
    void this.#ask();
    try {
      return await next;
    } finally {
      this.#isWaiting = false;
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#source.close();
    this.#accepts.end();
    this.#accepts.discard();
    this.#handshakes.giveUpAll();
    this.sessions.close(this);
  }

  /** Asks the source for connections as long as a call waits for one. */
  async #ask(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      while (this.#isWaiting && !this.#isClosed && !this.#sourceEnded) {
        const accepted = await this.#source.accept();
        if (accepted === null) {
          this.#sourceEnded = true;
          this.#endIfDone();
          break;
        }
        this.#undecided++;
        void this.#begin(accepted).finally(() => {
          this.#undecided--;
          this.#endIfDone();
        });
        // A connection that is ready at once ends the wait in this turn.
        await undefined;
        if (++this.#asked % ACCEPTS_PER_TURN === 0) await nextTurn();
      }
    } catch (error) {
      this.#isWaiting = false;
      this.#accepts.push({ error });
    }
    this.#isAsking = false;
  }

  #endIfDone(): void {
    if (!this.#sourceEnded || this.#undecided > 0) return;
    this.#isEnded = true;
    if (this.#accepts.isEmpty) this.#accepts.end();
  }

  /** Finds out what a connection is. */
  async #begin(accepted: Accepted): Promise<void> {
    const { transport } = accepted;
    const decided = Promise.withResolvers<void>();
    const first = transport.read();
    // A silent connection becomes a plain session, and has the limits of one.
    const handshake = this.#handshakes.begin(decided.resolve);
    const cancel = timeLimit(FIRST_BYTE_TIME, () => handshake.giveUp());
    void first.then(() => decided.resolve(), () => decided.resolve());
    await decided.promise;
    cancel();
    if (this.#isClosed) return void discard(transport);
    if (!handshake.finish()) return this.#acceptPlain(accepted, first);
    let chunk: Uint8Array | null;
    try {
      chunk = await first;
    } catch {
      return this.#acceptPlain(accepted, first);
    }
    if (chunk === null || chunk[0] !== MAGIC[0]) {
      return this.#acceptPlain(accepted, first);
    }
    await this.#answer(accepted, new Incoming(transport, chunk));
  }

  #acceptPlain(accepted: Accepted, first: Promise<Uint8Array | null>): void {
    const transport = new BegunTransport(accepted.transport, first);
    this.#offer({ ...accepted, transport });
  }

  async #answer(accepted: Accepted, incoming: Incoming): Promise<void> {
    const { transport, remoteAddr } = accepted;
    const { handshake: limit } = this.#options;
    const handshake = this.#handshakes.begin(() => void discard(transport));
    const cancel = timeLimit(limit.timeout, () => {
      if (!handshake.finish()) return;
      void discard(transport);
      limit.onTimeout(remoteAddr);
    });
    try {
      const session = await this.#answered(accepted, incoming, handshake);
      if (session !== undefined) {
        this.#offer({ ...accepted, transport: session });
      }
    } catch {
      // The peer was refused, or has left: neither is an error of this side.
      await left(transport);
    } finally {
      handshake.finish();
      cancel();
    }
  }

  /** The transport of a new session; undefined if there is none. */
  async #answered(
    accepted: Accepted,
    incoming: Incoming,
    handshake: Handshake,
  ): Promise<Transport | undefined> {
    const sessions = this.sessions;
    const { allow } = this.#options;
    const session = await sessions.answer(incoming, this, async () => {
      if (!await this.#isAllowed(allow, accepted)) return false;
      return !this.#isClosed && this.#handshakes.has(handshake);
    });
    if (session === undefined) return undefined;
    if (!this.#isClosed && handshake.finish()) return session;
    void session.close();
    return undefined;
  }

  async #isAllowed(
    allow: ResumingListenerOptions["allow"],
    { remoteAddr, request, tls }: Accepted,
  ): Promise<boolean> {
    if (allow === undefined) return true;
    try {
      return isPermitted("accept", await allow({ remoteAddr, request, tls }));
    } catch (error) {
      this.#options.onError?.(error);
      return false;
    }
  }

  #offer(accepted: Accepted): void {
    if (this.#isClosed) return void discard(accepted.transport);
    this.#isWaiting = false;
    this.#accepts.push({ accepted });
  }
}

/** Ends a connection at once. */
async function discard(transport: AbortableTransport): Promise<void> {
  transport.abort?.();
  try {
    await transport.close();
  } catch {
    // It is not used.
  }
}

/**
 * Ends a connection, but lets the other end read what was sent last: it has a second
 * to end its own side.
 */
async function left(transport: Transport): Promise<void> {
  const leave = async () => {
    await transport.closeWrite();
    await readToEnd(transport);
  };
  await settlesWithin(FIRST_BYTE_TIME, leave());
  await discard(transport);
}
