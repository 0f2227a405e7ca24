import { connTransport } from "../../../mux/internal_deno.ts";
import { untilAborted } from "../../../time_limit.ts";
import type { Transport } from "../../../mux/internal.ts";
import { printableText, redactedAddress } from "../../../printable_text.ts";
import {
  type Call,
  CallError,
  RemoteError,
  type Responder,
  Router,
  type RpcResponse,
} from "../../../rpc/internal.ts";
import { type ConnectOptions, dial } from "../../dial/dial.ts";
import { TalkError } from "../../errors.ts";
import type { Closable } from "../../listener/types.ts";
import type { CloseOptions } from "../../close_options.ts";
import type { Peer } from "../../peer.ts";
import type {
  ConnectionState,
  ReconnectingPeer,
} from "../../reconnect/types.ts";
import { spliceTransport } from "../splice_transport.ts";
import type { DialSecurity } from "../options/connection_security.ts";
import type { Terminal } from "../terminal.ts";
import { isNonce, isProof, nonce, prove } from "./proof.ts";
import { TargetHealth } from "./target_health.ts";
import {
  addressOf,
  answerContentOf,
  type ChallengeAnswer,
  contentOf,
  type Health,
  type HostAndPort,
  PERMANENT_CODES,
  type PublishAnswer,
  type PublishRequest,
  SELECTORS,
} from "./tunnel_wire.ts";

/** How long the target may take to accept a connection, in milliseconds. */
const TARGET_TIMEOUT = 10_000;
/** How long the server may take to take a release, in milliseconds. */
const RELEASE_TIMEOUT = 1_000;
/** How long connections may go on when the server has closed the tunnel. */
const DRAIN_TIMEOUT = 5_000;
/** Milliseconds after which an error is printed again that stays the same. */
const REMIND = 60_000;

/** Options of {@linkcode TunnelPublisher}. */
export interface PublishOptions {
  /** What the server keeps the port under. */
  name: string;
  /** The port to ask for; 0 for any. */
  port: number;
  /** The token that both halves know. */
  token: string | undefined;
  /** How long connecting, and each answer of the server, may take. */
  timeout: number;
  /** The longest delay before connecting again, in milliseconds. */
  maxDelay: number;
  /** How the server is dialed. */
  dialing: DialSecurity & Pick<ConnectOptions, "resume">;
  /** How often the target is checked, in milliseconds. */
  checkInterval: number;
  /** Where it is printed what happens. */
  terminal: Pick<Terminal, "print" | "note" | "error">;
}

/** The server refuses in a way that no further attempt would change. */
export class TunnelRefused extends Error {
  /** Always `"TunnelRefused"`. */
  override readonly name = "TunnelRefused";
}

/**
 * Publishes a local TCP server through a tunnel server, and connects what comes to
 * the public address with it. It connects again whenever the session is lost, and
 * publishes under the same name and port.
 */
export class TunnelPublisher implements Closable {
  readonly #server: string;
  readonly #target: HostAndPort;
  readonly #options: PublishOptions;
  readonly #stop = new AbortController();
  readonly #closed = Promise.withResolvers<void>();
  readonly #health: TargetHealth;
  /** Tells this process from others. */
  readonly #process = nonce();
  #peer: ReconnectingPeer | undefined;
  /** Settles when the server has proved itself, by session. */
  readonly #trusted = new WeakMap<object, Promise<void>>();
  #published: { peer: Peer; response: RpcResponse } | undefined;
  #address: string | undefined;
  #release: Promise<void> | undefined;
  /** Whether a state of the target is being sent. */
  #sendingHealth = false;
  #printed = { text: "", at: -Infinity };

  /** Nothing happens before {@linkcode run}. */
  constructor(server: string, target: HostAndPort, options: PublishOptions) {
    this.#server = server;
    this.#target = target;
    this.#options = options;
    this.#closed.promise.catch(() => {});
    this.#health = new TargetHealth({
      check: () => this.#check(),
      interval: options.checkInterval,
      onChange: (health) => {
        this.#noteHealth(health);
        void this.#sendHealth();
      },
    });
  }

  /** Resolves when it was closed; rejects if it cannot go on. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Connects and publishes, until it is closed. */
  async run(): Promise<void> {
    const { timeout, maxDelay, dialing } = this.#options;
    const router = new Router();
    router.handle(SELECTORS.alive, () => {});
    router.handle(
      SELECTORS.connect,
      (call, respond) => this.#serve(call, respond),
    );
    try {
      await this.#health.start();
      this.#peer = await dial(this.#server, {
        ...dialing,
        handler: router,
        timeout,
        signal: this.#stop.signal,
        reconnect: {
          maxDelay,
          minDelay: Math.min(100, maxDelay),
          onConnect: (peer) => this.#publish(peer),
          onState: (state) => this.#noteState(state),
        },
      });
      // It may have been closed before there was anything to close.
      if (this.#stop.signal.aborted) await this.#peer.close();
      await this.#peer.closed;
      this.#closed.resolve();
    } catch (error) {
      if (this.#stop.signal.aborted) this.#closed.resolve();
      else this.#closed.reject(refusalIn(error));
    } finally {
      this.#health[Symbol.dispose]();
    }
  }

  /** Gives the name and the port back, drains, and ends. */
  async close(options?: CloseOptions): Promise<void> {
    this.#stop.abort();
    await (this.#release ??= this.#releaseLease());
    await this.#peer?.close(options);
    await this.closed.catch(() => {});
  }

  async #releaseLease(): Promise<void> {
    const published = this.#published;
    if (published === undefined) return;
    const { peer, response } = published;
    const timeout = RELEASE_TIMEOUT;
    // Without it, the port is kept for the lease time.
    await peer.call(SELECTORS.release, [], { timeout }).catch(() => {});
    await response.close();
  }

  /** Publishes on a new session. */
  async #publish(peer: Peer): Promise<void> {
    const trusted = Promise.withResolvers<void>();
    trusted.promise.catch(() => {});
    this.#trusted.set(peer, trusted.promise);
    try {
      await this.#publishOn(peer);
      trusted.resolve();
    } catch (error) {
      trusted.reject(error);
      throw permanently(error);
    }
  }

  async #publishOn(peer: Peer): Promise<void> {
    const { name, port, token, timeout, terminal } = this.#options;
    const publisherNonce = nonce();
    const challenge = await peer.call(
      SELECTORS.challenge,
      [{ nonce: publisherNonce }],
      { timeout },
    ) as Partial<ChallengeAnswer> | null;
    const serverNonce = challenge?.nonce;
    if (!isNonce(serverNonce) || serverNonce === publisherNonce) {
      throw new TunnelRefused("Cannot publish: the server is not a tunnel");
    }
    if (challenge?.tokenRequired && token === undefined) {
      throw new TunnelRefused("Cannot publish: the server requires a token");
    }
    const nonces = { publisherNonce, serverNonce };
    const lastPort = Number(/:(\d+)$/.exec(this.#address ?? "")?.[1] ?? 0);
    const unproved: PublishRequest = {
      name,
      process: this.#process,
      port: port || (lastPort < 1_024 ? 0 : lastPort),
      exact: port !== 0,
      health: this.#health.current,
    };
    const content = contentOf(unproved);
    const request = token === undefined ? unproved : {
      ...unproved,
      proof: await prove(token, { by: "publisher", ...nonces, content }),
    };
    const response = await peer.request(SELECTORS.publish, [request], {
      timeout,
    });
    const answer = (response.value ?? {}) as PublishAnswer;
    if (
      token !== undefined &&
      !await isProof(answer.proof, token, {
        by: "server",
        ...nonces,
        content: answerContentOf(unproved, answer),
      })
    ) {
      await response.close();
      throw new TunnelRefused(
        "Cannot publish: the server has not proved that it knows the token",
      );
    }
    const address = printableText(String(answer.address));
    if (address === this.#address) {
      terminal.note(`published again at ${address}`);
    } else this.#print(`published at ${address}`);
    this.#address = address;
    const published = { peer, response };
    this.#published = published;
    this.#printed.text = "";
    // The state may have changed since the request.
    if (unproved.health !== this.#health.current) void this.#sendHealth();
    // At the end of the session, or of the tunnel alone.
    response.receive().then(() => {
      if (this.#stop.signal.aborted) return;
      terminal.note(`closed by the server: ${address}`);
    }).catch(() => {}).then(() => {
      if (this.#published === published) this.#published = undefined;
      return peer.close({ drainTimeout: DRAIN_TIMEOUT });
    });
    if (this.#stop.signal.aborted) await this.#releaseLease();
  }

  /** Prints a result; a tunnel goes on if there is no reader any more. */
  #print(line: string): void {
    try {
      this.#options.terminal.print(line);
    } catch {
      // The command reports it when it ends.
    }
  }

  /** Connects a connection to the public address with the target. */
  async #serve(call: Call, respond: Responder): Promise<void> {
    await call.receive();
    const trusted = this.#trusted.get(call.peer);
    if (trusted === undefined) throw new CallError("nothing is published");
    await trusted.catch(() => {
      throw new CallError("nothing is published");
    });
    let transport: Transport;
    try {
      transport = await this.#connect();
      this.#health.report({ ok: true, reason: "" });
    } catch (error) {
      const { message } = error as Error;
      // The server offers the connection again: the target is not the cause.
      if (isOutOfFiles(error as Error)) {
        throw new CallError(message, { code: "busy" });
      }
      this.#health.report({ ok: false, reason: message });
      throw new CallError(message, { code: "target-down" });
    }
    const channel = await respond.continue();
    try {
      await spliceTransport(transport, channel);
    } catch (error) {
      if (!call.signal.aborted) this.#options.terminal.error(error);
    }
  }

  async #connect(): Promise<Transport> {
    const signal = AbortSignal.timeout(TARGET_TIMEOUT);
    try {
      const conn = await untilAborted(
        Deno.connect({ ...this.#target }),
        signal,
      );
      conn.setNoDelay(true);
      return connTransport(conn);
    } catch (cause) {
      const { message } = cause as Error;
      throw new Error(
        `Cannot connect to ${addressOf(this.#target)}: ${message}`,
        { cause },
      );
    }
  }

  /** Whether the target accepts a connection. */
  async #check(): Promise<void> {
    try {
      await (await this.#connect()).close();
    } catch (error) {
      if (!isOutOfFiles(error as Error)) throw error;
    }
  }

  /** Sends the state of the target, and again if it has changed meanwhile. */
  async #sendHealth(): Promise<void> {
    if (this.#sendingHealth) return;
    this.#sendingHealth = true;
    let sent: Health | undefined;
    while (this.#published !== undefined && sent !== this.#health.current) {
      const { peer } = this.#published;
      sent = this.#health.current;
      const { timeout } = this.#options;
      try {
        await peer.call(SELECTORS.health, [sent], { timeout });
      } catch {
        // The next session begins with it.
        break;
      }
    }
    this.#sendingHealth = false;
  }

  #noteHealth({ ok, reason }: Health): void {
    const { terminal } = this.#options;
    if (ok) terminal.note(`target is up: ${addressOf(this.#target)}`);
    else terminal.note(`target is down: ${printableText(reason)}`);
  }

  #noteState(state: ConnectionState): void {
    if (state.name !== "waiting" || refusedFor(state.error)) return;
    const { error, delay, attempt } = state;
    const { message } = error as Error;
    const what = attempt === 1
      ? `connection to ${redactedAddress(this.#server)} lost: ${message}`
      : message;
    // An outage may last for days.
    const now = performance.now();
    const { text, at } = this.#printed;
    if (what === text && now - at < REMIND) return;
    this.#printed = { text: what, at: now };
    this.#options.terminal.error(
      `${what}; trying again in ${(delay / 1_000).toFixed(1)} s`,
    );
  }
}

/** Whether this process, or the system, has no files left for a connection. */
function isOutOfFiles({ cause }: { cause?: unknown }): boolean {
  const { code } = (cause ?? {}) as { code?: unknown };
  return code === "EMFILE" || code === "ENFILE";
}

/** The reason why an error ends the publisher, if it is one that does. */
function refusedFor(error: unknown): TunnelRefused | undefined {
  if (error instanceof TunnelRefused) return error;
  if (error instanceof TalkError && error.cause instanceof TunnelRefused) {
    return error.cause;
  }
  return undefined;
}

/** Makes an error permanent, for the reconnecting peer, if it is. */
function permanently(error: unknown): unknown {
  const permanent = error instanceof RemoteError &&
    PERMANENT_CODES.includes(error.code ?? "");
  const cause = permanent
    ? new TunnelRefused(error.message, { cause: error })
    : error;
  if (!(cause instanceof TunnelRefused)) return error;
  return new TalkError("dial-failed", cause.message, {
    cause,
    permanent: true,
  });
}

/** What is thrown in the end. */
function refusalIn(error: unknown): unknown {
  return refusedFor(error) ?? error;
}
