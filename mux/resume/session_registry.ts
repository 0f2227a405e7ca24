import type { SessionOptions } from "../options.ts";
import { ResumeError } from "./errors.ts";
import {
  answerDialer,
  type Answered,
  type KnownSessions,
  refuse,
  type Started,
} from "./handshake/handshake.ts";
import type { Incoming } from "./handshake/incoming.ts";
import { ResumableTransport } from "./resumable_transport.ts";
import type { ResolvedListenResume } from "./types.ts";

/** A listener, as the sessions of its store know it. */
export interface Site {
  /** When a silent connection of a session that begins here is given up. */
  readonly keepAlive: SessionOptions["keepAlive"];
}

/** A session. */
interface Entry {
  readonly key: CryptoKey;
  readonly transport: ResumableTransport;
  /** Where it has begun. */
  readonly home: Site;
  /** Where its connection was accepted. */
  via: Site;
  /** The attempt that made its connection. */
  attempt: number;
}

/**
 * The sessions of one or more listeners, by their IDs, and which of them have no
 * connection.
 */
export class SessionRegistry implements KnownSessions {
  readonly #options: ResolvedListenResume;
  readonly #sessions = new Map<string, Entry>();
  /** Those without a connection, in the order in which they lost it. */
  readonly #detached = new Map<ResumableTransport, Site>();
  /** Listeners that accept nothing more. */
  readonly #closed = new WeakSet<Site>();

  /** Makes an empty registry. */
  constructor(options: ResolvedListenResume) {
    this.#options = options;
  }

  get limit(): number {
    return this.#options.maxUnacknowledged;
  }

  /** How many sessions there are. */
  get size(): number {
    return this.#sessions.size;
  }

  /** How many of them have no connection. */
  get detached(): number {
    return this.#detached.size;
  }

  find(
    id: Uint8Array,
    attempt: number,
  ): { key: CryptoKey; received: number } | undefined {
    const entry = this.#sessions.get(nameOf(id));
    if (entry === undefined || attempt <= entry.attempt) return undefined;
    return { key: entry.key, received: entry.transport.received };
  }

  /**
   * Answers a dialer.
   *
   * @param site the listener that it has reached
   * @param isWelcome whether a session may continue over this connection
   * @returns the transport of a new session; undefined if it continues one
   * @throws {Error} if the connection neither begins nor continues a session
   */
  async answer(
    incoming: Incoming,
    site: Site,
    isWelcome: () => Promise<boolean>,
  ): Promise<ResumableTransport | undefined> {
    const answered = await answerDialer(incoming, this);
    if (answered.kind === "new") return this.#add(answered.session, site);
    if (!await isWelcome()) throw await refuse(incoming);
    await this.#resume(incoming, answered, site);
    return undefined;
  }

  /**
   * A listener is closed: sessions that have begun there end if they have no
   * connection, or when they lose it. Others lose the connection that it has accepted.
   */
  close(site: Site): void {
    this.#closed.add(site);
    for (const [transport, home] of [...this.#detached]) {
      if (home === site) transport.fail(noListener());
    }
    for (const { transport, home, via } of [...this.#sessions.values()]) {
      if (via !== site || home === site) continue;
      transport.detach(new Error("the listener of the connection was closed"));
    }
  }

  #add(session: Started, home: Site): ResumableTransport {
    const name = nameOf(session.id);
    const transport: ResumableTransport = new ResumableTransport({
      limits: this.#options,
      peerLimit: session.peerLimit,
      keepAlive: home.keepAlive,
      events: {
        onDetached: (error) => this.#onDetached(transport, home, error),
        onEnded: () => {
          this.#sessions.delete(name);
          this.#detached.delete(transport);
        },
      },
    }, session);
    if (!transport.hasEnded) {
      const { key } = session;
      this.#sessions.set(name, { key, transport, home, via: home, attempt: 0 });
    }
    return transport;
  }

  async #resume(
    incoming: Incoming,
    { id, attempt, connection }: Answered & { kind: "resumed" },
    site: Site,
  ): Promise<void> {
    // Another attempt may have been faster, or the session may have ended.
    const entry = this.#sessions.get(nameOf(id));
    if (entry === undefined || attempt <= entry.attempt) {
      throw await refuse(incoming);
    }
    entry.attempt = attempt;
    entry.via = site;
    this.#detached.delete(entry.transport);
    entry.transport.attach(connection);
  }

  #onDetached(
    transport: ResumableTransport,
    home: Site,
    error: unknown,
  ): void {
    if (this.#closed.has(home)) return transport.fail(noListener(error));
    this.#detached.set(transport, home);
    const { maxDetached } = this.#options;
    if (this.#detached.size <= maxDetached) return;
    const [oldest] = this.#detached.keys();
    oldest!.fail(tooMany(maxDetached));
  }
}

function noListener(cause?: unknown): ResumeError {
  const how = "the listener is closed, so that the session cannot be resumed";
  return new ResumeError("listener-closed", how, { cause });
}

function tooMany(maxDetached: number): ResumeError {
  const how = `more than ${maxDetached} sessions had none ` +
    '(option "resume.maxDetached")';
  return new ResumeError("too-many", how);
}

/** An ID as a key. */
function nameOf(id: Uint8Array): string {
  return String.fromCharCode(...id);
}
