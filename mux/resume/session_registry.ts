import type { SessionOptions } from "../options.ts";
import { ResumeError } from "./errors.ts";
import {
  answerDialer,
  type Answered,
  type KnownSessions,
  refuse,
  type Started,
} from "./handshake.ts";
import type { Incoming } from "./incoming.ts";
import { ResumableTransport } from "./resumable_transport.ts";
import type { ResolvedResumeLimits } from "./types.ts";

/** A session of a listener. */
interface Entry {
  readonly key: CryptoKey;
  readonly transport: ResumableTransport;
  /** The attempt that made its connection. */
  attempt: number;
}

/** How a {@linkcode SessionRegistry} makes sessions. */
export interface RegistryOptions extends ResolvedResumeLimits {
  /** Sessions without a connection that it keeps. */
  readonly maxDetached: number;
  /** When a silent connection is given up. */
  readonly keepAlive: SessionOptions["keepAlive"];
}

/** The sessions of a listener, by their IDs, and which of them have no connection. */
export class SessionRegistry implements KnownSessions {
  readonly #options: RegistryOptions;
  readonly #sessions = new Map<string, Entry>();
  /** Those without a connection, in the order in which they lost it. */
  readonly #detached = new Set<ResumableTransport>();
  #isClosed = false;

  /** Makes an empty registry. */
  constructor(options: RegistryOptions) {
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
   * @param isWelcome whether a session may continue over this connection
   * @returns the transport of a new session; undefined if it continues one
   * @throws {Error} if the connection neither begins nor continues a session
   */
  async answer(
    incoming: Incoming,
    isWelcome: () => Promise<boolean>,
  ): Promise<ResumableTransport | undefined> {
    const answered = await answerDialer(incoming, this);
    if (answered.kind === "new") return this.#add(answered.session);
    if (!await isWelcome()) throw await refuse(incoming);
    await this.#resume(incoming, answered);
    return undefined;
  }

  /**
   * No more connections will come: sessions that have none, or lose theirs, end.
   */
  close(): void {
    this.#isClosed = true;
    for (const transport of [...this.#detached]) transport.fail(noListener());
  }

  #add(session: Started): ResumableTransport {
    const { keepAlive } = this.#options;
    const name = nameOf(session.id);
    const transport: ResumableTransport = new ResumableTransport({
      limits: this.#options,
      peerLimit: session.peerLimit,
      keepAlive,
      events: {
        onDetached: (error) => this.#onDetached(transport, error),
        onEnded: () => {
          this.#sessions.delete(name);
          this.#detached.delete(transport);
        },
      },
    }, session);
    if (!transport.hasEnded) {
      this.#sessions.set(name, { key: session.key, transport, attempt: 0 });
    }
    return transport;
  }

  async #resume(
    incoming: Incoming,
    { id, attempt, connection }: Answered & { kind: "resumed" },
  ): Promise<void> {
    // Another attempt may have been faster, or the session may have ended.
    const entry = this.#sessions.get(nameOf(id));
    if (entry === undefined || attempt <= entry.attempt) {
      throw await refuse(incoming);
    }
    entry.attempt = attempt;
    this.#detached.delete(entry.transport);
    entry.transport.attach(connection);
  }

  #onDetached(transport: ResumableTransport, error: unknown): void {
    if (this.#isClosed) return transport.fail(noListener(error));
    this.#detached.add(transport);
    const { maxDetached } = this.#options;
    if (this.#detached.size <= maxDetached) return;
    const [oldest] = this.#detached;
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
