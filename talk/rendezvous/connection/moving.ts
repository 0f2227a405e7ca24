/**
 * Sessions that begin over a relayed connection, and move to a direct one when it
 * is made: SPEC.md, "Moving".
 *
 * @module
 */
import { toHex } from "../../../hex.ts";
import {
  type AbortableTransport,
  loadResume,
  type PeerTransport,
  type PeerWay,
  type SessionOptions,
  type Transport,
} from "../../../mux/internal.ts";
import { readToEnd } from "../../../mux/internal_deno.ts";
import { limitedSignal } from "../../../time_limit.ts";
import { RendezvousError } from "../errors.ts";

/** Milliseconds before the first attempt to move, and at most before one. */
const PAUSE = { min: 5_000, max: 300_000 } as const;
/** How many attempts are made. */
const ATTEMPTS = 20;
/**
 * Milliseconds that continuing a session may take, once there is a connection.
 * Nothing that has arrived is delivered meanwhile.
 */
const HANDSHAKE_TIME = 3_000;

/** The pauses before the attempts to move, in milliseconds. */
export const PAUSES: readonly number[] = Array.from(
  { length: ATTEMPTS },
  (_, i) => Math.min(PAUSE.min * 2 ** i, PAUSE.max),
);

/** What {@linkcode beginMoving} needs. */
export interface MovingOptions {
  /** The pauses before the attempts. */
  readonly pauses: readonly number[];
  /** When a silent connection is given up. */
  readonly keepAlive: SessionOptions["keepAlive"];
  /** Makes a direct connection, or rejects if no way opens. */
  connect(signal: AbortSignal): Promise<Transport>;
  /** Resolves after `ms` milliseconds, or earlier when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** Called when the session has moved. */
  onMoved(): void;
  /** Called when the session has ended, and its connections are closed. */
  onClosed(): void;
}

/**
 * Begins a session over a relayed connection, as the dialing peer, and moves it.
 *
 * @param relayed the connection, which belongs to the session
 * @throws {Error} if the other peer does not take part
 */
export async function beginMoving(
  relayed: Transport,
  options: MovingOptions,
): Promise<PeerTransport> {
  const resume = await loadResume();
  const limits = resume.resolveResumeLimits({});
  const secret = await resume.startSession(relayed, limits.maxUnacknowledged);
  const stop = new AbortController();
  let way: PeerWay = "relayed";
  let isMoving = false;
  let lost: { error: unknown } | undefined;
  const session = new resume.ResumableTransport({
    limits,
    peerLimit: secret.peerLimit,
    keepAlive: options.keepAlive,
    events: {
      onDetached(error) {
        if (isMoving) lost = { error };
        else session.fail(error as Error);
      },
      onEnded() {
        stop.abort();
        whenClosed(session, options.onClosed);
      },
    },
  }, secret);
  const move = async (transport: AbortableTransport, attempt: number) => {
    const limited = limitedSignal({
      signal: stop.signal,
      timeout: HANDSHAKE_TIME,
      onTimeout: () => new Error("continuing the session took too long"),
    });
    isMoving = true;
    // What it reports as received must stay true until the session has moved.
    session.pause();
    try {
      const connection = await resume.whileOpen(
        transport,
        limited.signal,
        () =>
          resume.resumeSession(transport, {
            ...secret,
            attempt,
            received: session.received,
          }),
      );
      lost = undefined;
      session.attach(connection);
      way = "direct";
    } finally {
      isMoving = false;
      session.unpause();
      limited[Symbol.dispose]();
      if (lost !== undefined) session.fail(lost.error as Error);
    }
  };
  const run = async () => {
    let attempt = 0;
    for (const pause of options.pauses) {
      await options.wait(pause, stop.signal);
      if (stop.signal.aborted) return;
      try {
        const transport = await options.connect(stop.signal);
        await move(transport, ++attempt);
        return options.onMoved();
      } catch {
        // The session continues unchanged, and another attempt follows.
      }
    }
  };
  void run();
  return Object.defineProperty(session, "way", { get: () => way });
}

/** A session of a listening peer. */
interface Movable {
  /** The certificate of the dialing peer. */
  readonly fingerprint: string;
  readonly key: CryptoKey;
  readonly transport: InstanceType<
    Awaited<ReturnType<typeof loadResume>>["ResumableTransport"]
  >;
  /** The attempt that made its connection. */
  attempt: number;
  way: PeerWay;
  /** Attempts to continue it that have not ended. */
  moving: number;
  /** Why it has lost its connection meanwhile. */
  lost: { error: unknown } | undefined;
}

/** The sessions of a listening peer that began on the relayed way, by their IDs. */
export class MovableSessions {
  readonly #keepAlive: SessionOptions["keepAlive"];
  readonly #sessions = new Map<string, Movable>();

  /** Makes an empty list. */
  constructor(keepAlive: SessionOptions["keepAlive"]) {
    this.#keepAlive = keepAlive;
  }

  /** How many sessions there are. */
  get size(): number {
    return this.#sessions.size;
  }

  /**
   * Begins a session over a relayed connection.
   *
   * @param relayed the connection, which belongs to the session
   * @param fingerprint the certificate that the dialing peer has proved
   * @throws {Error} if the other peer does not take part
   */
  async begin(relayed: Transport, fingerprint: string): Promise<PeerTransport> {
    const resume = await loadResume();
    const limits = resume.resolveResumeLimits({});
    const answered = await resume.answerDialer(new resume.Incoming(relayed), {
      limit: limits.maxUnacknowledged,
      find: () => undefined,
    });
    // Others were refused: no session is known.
    if (answered.kind !== "new") throw unexpected();
    const { session } = answered;
    const name = toHex(session.id);
    const transport: Movable["transport"] = new resume.ResumableTransport({
      limits,
      peerLimit: session.peerLimit,
      keepAlive: this.#keepAlive,
      events: {
        onDetached(error) {
          if (movable.moving > 0) movable.lost = { error };
          else transport.fail(error as Error);
        },
        onEnded: () => void this.#sessions.delete(name),
      },
    }, session);
    const movable: Movable = {
      fingerprint,
      key: session.key,
      transport,
      attempt: 0,
      way: "relayed",
      moving: 0,
      lost: undefined,
    };
    if (!transport.hasEnded) this.#sessions.set(name, movable);
    return Object.defineProperty(transport, "way", { get: () => movable.way });
  }

  /**
   * Continues a session over a direct connection, which belongs to the session then.
   *
   * @param direct the connection
   * @param fingerprint the certificate that the dialing peer has proved
   * @throws {Error} if there is no such session of that peer
   */
  async move(direct: Transport, fingerprint: string): Promise<void> {
    const resume = await loadResume();
    let found: Movable | undefined;
    try {
      const answered = await resume.answerDialer(new resume.Incoming(direct), {
        limit: 0,
        find: (id, attempt) => {
          const movable = this.#sessions.get(toHex(id));
          if (
            movable === undefined || movable.fingerprint !== fingerprint ||
            attempt <= movable.attempt
          ) return undefined;
          movable.moving++;
          found = movable;
          const { key, transport: { received } } = movable;
          return { key, received };
        },
      });
      if (answered.kind === "new" || found === undefined) throw unexpected();
      if (answered.attempt <= found.attempt) throw unexpected();
      found.attempt = answered.attempt;
      found.lost = undefined;
      if (found.transport.hasEnded) {
        // The other peer has not read what the relayed connection reported about
        // it.
        await direct.write(Uint8Array.of(resume.RECORD.close));
        await direct.closeWrite();
        await readToEnd(direct);
        throw unexpected();
      }
      found.transport.attach(answered.connection);
      found.way = "direct";
    } finally {
      if (found !== undefined && --found.moving === 0 && found.lost) {
        found.transport.fail(found.lost.error as Error);
      }
    }
  }
}

/** Calls back when a session that has ended has closed its connections. */
function whenClosed(session: Transport, onClosed: () => void): void {
  // Its own close() may be what has ended it.
  queueMicrotask(async () => {
    try {
      await session.close();
    } finally {
      onClosed();
    }
  });
}

function unexpected(): RendezvousError {
  return new RendezvousError(
    "bad-proof",
    "the peer tried to continue a session that is not its own",
  );
}
