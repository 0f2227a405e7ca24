import { callHook } from "../../call_hook.ts";
import { limitedSignal } from "../../time_limit.ts";
import type { SessionOptions } from "../options.ts";
import type { AbortableTransport } from "../transport/types.ts";
import type { Transport } from "../types.ts";
import { unknownSession } from "./errors.ts";
import {
  type Established,
  Refusal,
  resumeSession,
  type SessionSecret,
  startSession,
} from "./handshake/handshake.ts";
import { ResumableTransport } from "./resumable_transport.ts";
import type { ResolvedResumeLimits, ResumeState } from "./types.ts";

/** How connections are made, and when; tests bring their own. */
export interface RedialEnvironment {
  /** Makes a connection, of any kind; rejects when the signal aborts. */
  connect(signal: AbortSignal): Promise<Transport>;
  /** Milliseconds that an attempt may take, with its handshake. */
  readonly attemptTimeout: number;
  /** The delays between attempts. */
  readonly backoff: {
    /** The delay before the next attempt, in milliseconds. */
    next(): number;
    /** Reports that a connection lasted so many milliseconds. */
    connectionLasted(duration: number): void;
  };
  /** Resolves after `ms` milliseconds, or earlier when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** Options of {@linkcode beginSession}. */
export interface DialedSessionOptions {
  /** The limits. */
  readonly limits: ResolvedResumeLimits;
  /** When a silent connection is given up. */
  readonly keepAlive: SessionOptions["keepAlive"];
  /** Called with each state of the session. */
  readonly onState?: ((state: ResumeState) => void) | undefined;
}

/**
 * Begins a session over a connection, and makes others when it is lost.
 *
 * @param transport the first connection, which belongs to the session
 * @throws {HandshakeError} if the other end does not take part
 * @throws {TlsError} if it speaks TLS
 */
export async function beginSession(
  transport: Transport,
  options: DialedSessionOptions,
  environment: RedialEnvironment,
): Promise<Transport> {
  const { limits, keepAlive, onState } = options;
  const started = await startSession(transport, limits.maxUnacknowledged);
  const redial = new Redial(started, environment);
  const report = (state: ResumeState) => callHook(() => onState?.(state));
  const session: ResumableTransport = new ResumableTransport({
    limits,
    peerLimit: started.peerLimit,
    keepAlive,
    events: {
      onAttached: () => report({ name: "connected", resumed: session.resumed }),
      onDetached(error) {
        report({ name: "detached", error });
        if (!session.hasEnded) void redial.run(session, error);
      },
      onEnded(error) {
        redial.stop();
        report(
          error === undefined ? { name: "closed" } : { name: "closed", error },
        );
      },
    },
  }, started);
  report({ name: "connected", resumed: 0 });
  return session;
}

/** Makes connections for one session. */
class Redial {
  readonly #secret: SessionSecret;
  readonly #environment: RedialEnvironment;
  readonly #stop = new AbortController();
  #attempt = 0;
  /** What had passed when the last connection was made. */
  #passed = 0;

  constructor(secret: SessionSecret, environment: RedialEnvironment) {
    this.#secret = secret;
    this.#environment = environment;
  }

  /** Makes no more connections. */
  stop(): void {
    this.#stop.abort();
  }

  /** Makes attempts until one succeeds, or the session has ended. */
  async run(session: ResumableTransport, lost: unknown): Promise<void> {
    const { signal } = this.#stop;
    const { backoff, wait } = this.#environment;
    // A server that accepts connections only to close them must not be flooded.
    if (session.passed > this.#passed) backoff.connectionLasted(Infinity);
    else await wait(backoff.next(), signal);
    while (!signal.aborted) {
      try {
        const connection = await this.#connect(session);
        this.#passed = session.passed;
        return session.attach(connection);
      } catch (error) {
        if (error instanceof Refusal) {
          return session.fail(unknownSession(lost));
        }
      }
      await wait(backoff.next(), signal);
    }
  }

  /** One attempt. */
  async #connect(session: ResumableTransport): Promise<Established> {
    // Without `using`, whose syntax some browsers lack.
    const limited = limitedSignal({
      signal: this.#stop.signal,
      timeout: this.#environment.attemptTimeout,
      onTimeout: () => new Error("the attempt took too long"),
    });
    try {
      const transport = await this.#environment.connect(limited.signal);
      const continued = {
        ...this.#secret,
        attempt: ++this.#attempt,
        received: session.received,
      };
      return await whileOpen(
        transport,
        limited.signal,
        () => resumeSession(transport, continued),
      );
    } finally {
      limited[Symbol.dispose]();
    }
  }
}

/** Uses a connection, and closes it if the use fails or is aborted. */
export async function whileOpen<T>(
  transport: AbortableTransport,
  signal: AbortSignal,
  use: () => Promise<T>,
): Promise<T> {
  const end = async () => {
    transport.abort?.();
    try {
      await transport.close();
    } catch {
      // It is not used any more.
    }
  };
  const onAbort = () => void end();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await use();
  } catch (error) {
    await end();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
