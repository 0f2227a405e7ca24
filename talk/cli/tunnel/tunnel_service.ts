/**
 * The tunnel server: opens public ports for publishers. `tunnel_wire.ts` describes
 * the calls between the two halves.
 *
 * @module
 */
import { printableText, redactedAddress } from "../../../printable_text.ts";
import {
  type Call,
  CallError,
  type CallingPeer,
  type Responder,
  Router,
} from "../../../rpc/internal.ts";
import { Peer } from "../../peer.ts";
import type { Terminal } from "../terminal.ts";
import { type Holder, Lease, type LeaseOptions } from "./lease.ts";
import { isNonce, isProof, nonce, prove, type Statement } from "./proof.ts";
import {
  LOWEST_PORT,
  openFirst,
  type OpenPort,
  openPortOn,
  portsFor,
} from "./public_port.ts";
import {
  answerContentOf,
  type Challenge,
  type ChallengeAnswer,
  contentOf,
  type Health,
  type HostAndPort,
  isName,
  type PublishAnswer,
  type PublishRequest,
  SELECTORS,
} from "./tunnel_wire.ts";

/** How long a publisher may take to show that it is alive, in milliseconds. */
const ALIVE_TIMEOUT = 1_000;
/** The most characters of a reason that a publisher gives. */
const MAX_REASON = 300;
/** How many refusals are printed in {@linkcode PRINT_INTERVAL}. */
const MAX_PRINTED = 20;
/** Milliseconds after which as many are printed again. */
const PRINT_INTERVAL = 10_000;

/** Options of {@linkcode TunnelService}. */
export interface TunnelServiceOptions {
  /** Where public ports are opened; port 0 for one for each publisher. */
  place: HostAndPort;
  /** The tokens, one of which a publisher must know; none if none is required. */
  tokens: readonly string[];
  /** How long a port is kept for a publisher that is lost, in milliseconds. */
  leaseTime: number;
  /** How long a connection waits for a publisher, in milliseconds. */
  waitTime: number;
  /** How many connections wait on one port. */
  maxWaiting: number;
  /** How many ports may be open. */
  maxPorts: number;
  /** How many of them publishers with the same token may have. */
  maxPortsPerToken: number;
  /** How many of them publishers at one address may have. */
  maxPortsPerClient: number;
  /** Where it is printed what happens. */
  terminal: Pick<Terminal, "note">;
  /** Opens a port. Default: a TCP port on the host of `place`. */
  openPort?: OpenPort | undefined;
}

/** What is known about a publisher's session. */
interface Publisher {
  /** The random numbers of a challenge that was not used yet. */
  challenge: { publisherNonce: string; serverNonce: string } | undefined;
  /** What it has published. */
  published: { lease: Lease; holder: Holder } | undefined;
}

/** A lease, and for whom. */
interface Entry {
  readonly lease: Lease;
  /** The number of the token; -1 without one. */
  readonly token: number;
  /** The host that its publisher connects from. */
  client: string;
}

/** The handlers of the tunnel server, and the leases that they give. */
export class TunnelService {
  /** Answers the calls of publishers. */
  readonly router = new Router();
  readonly #options: TunnelServiceOptions;
  readonly #leaseOptions: LeaseOptions;
  readonly #open: OpenPort;
  readonly #publishers = new WeakMap<CallingPeer, Publisher>();
  /** By token and name. */
  readonly #entries = new Map<string, Entry>();
  /** The ports that are being closed. */
  readonly #closing = new Set<Promise<void>>();
  #closed = false;
  #printedSince = -Infinity;
  #printed = 0;

  /** Makes a service without leases. */
  constructor(options: TunnelServiceOptions) {
    const { place, leaseTime, waitTime, maxWaiting, terminal } = options;
    this.#options = options;
    this.#open = options.openPort ?? openPortOn(place.hostname);
    this.#leaseOptions = {
      leaseTime,
      waitTime,
      maxWaiting,
      waiting: { count: 0 },
      note: (text) => terminal.note(printableText(text)),
      refused: (text) => this.#refused(text),
    };
    const { router } = this;
    router.handle(
      SELECTORS.challenge,
      (call, respond) => this.#challenge(call, respond),
    );
    router.handle(
      SELECTORS.publish,
      (call, respond) => this.#publish(call, respond),
    );
    router.handle(SELECTORS.health, (call) => this.#health(call));
    router.handle(SELECTORS.release, (call) => {
      this.#publishers.get(call.peer)?.published?.lease.end();
    });
  }

  /** Closes all ports. Connections that were passed on are not affected. */
  close(): void {
    this.#closed = true;
    for (const { lease } of [...this.#entries.values()]) {
      lease.end("the tunnel server ends");
    }
  }

  /** Prints a refusal, unless there were too many of late. */
  #refused(text: string): void {
    const now = performance.now();
    if (now - this.#printedSince >= PRINT_INTERVAL) {
      this.#printedSince = now;
      this.#printed = 0;
    }
    if (this.#printed++ < MAX_PRINTED) {
      this.#options.terminal.note(`error: ${printableText(text)}`);
    }
  }

  #publisher(peer: CallingPeer): Publisher {
    let publisher = this.#publishers.get(peer);
    if (publisher === undefined) {
      publisher = { challenge: undefined, published: undefined };
      this.#publishers.set(peer, publisher);
    }
    return publisher;
  }

  async #challenge(call: Call, respond: Responder): Promise<void> {
    const [request] = (await call.receive() ?? []) as [Partial<Challenge>?];
    if (!isNonce(request?.nonce)) throw badArguments("the nonce is malformed");
    const challenge = { publisherNonce: request.nonce, serverNonce: nonce() };
    this.#publisher(call.peer).challenge = challenge;
    await respond.return(
      {
        nonce: challenge.serverNonce,
        tokenRequired: this.#options.tokens.length > 0,
      } satisfies ChallengeAnswer,
    );
  }

  async #publish(call: Call, respond: Responder): Promise<void> {
    const publisher = this.#publisher(call.peer);
    const { challenge } = publisher;
    publisher.challenge = undefined;
    const [sent] = (await call.receive() ?? []) as [unknown?];
    const from = redactedAddress(call.peer.remoteAddr);
    let entry: Entry;
    let proof: ((answer: PublishAnswer) => Promise<string>) | undefined;
    const ended = Promise.withResolvers<void>();
    let holder: Holder;
    try {
      const request = requestFrom(sent);
      const token = await this.#tokenOf(request, challenge);
      if (token >= 0) {
        proof = (answer) =>
          prove(this.#options.tokens[token]!, {
            by: "server",
            ...challenge!,
            content: answerContentOf(request, answer),
          });
      }
      holder = {
        process: request.process,
        caller: call.caller,
        health: request.health,
        from,
        drop() {
          if (call.peer instanceof Peer) void call.peer.close();
        },
        end: () => ended.resolve(),
      };
      if (publisher.published !== undefined) {
        throw badArguments("this session has published already");
      }
      entry = await this.#claim(request, token, clientOf(from));
    } catch (error) {
      if (error instanceof CallError) {
        this.#refused(`Cannot publish for ${from}: ${error.message}`);
      }
      throw error;
    }
    const { lease } = entry;
    publisher.published = { lease, holder };
    const answer: PublishAnswer = {
      address: lease.address,
      lease: this.#options.leaseTime,
    };
    const onAbort = () => ended.resolve();
    call.signal.addEventListener("abort", onAbort);
    try {
      // The publisher must know the address before the first connection.
      const channel = await respond.continue({
        ...answer,
        ...(proof && { proof: await proof(answer) }),
      });
      if (call.signal.aborted || lease.ended) ended.resolve();
      else lease.attach(holder);
      await ended.promise;
      await channel.close();
    } finally {
      call.signal.removeEventListener("abort", onAbort);
      publisher.published = undefined;
      lease.lose(holder);
      lease.expireUnlessHeld();
    }
  }

  /**
   * The number of the token that a request proves; -1 if none is required.
   *
   * @throws {CallError} if it proves none
   */
  async #tokenOf(
    request: PublishRequest,
    challenge: Publisher["challenge"],
  ): Promise<number> {
    const { tokens } = this.#options;
    if (tokens.length === 0) return -1;
    if (challenge === undefined) {
      throw unauthorized("there was no challenge for this request");
    }
    if (request.proof === undefined) throw unauthorized("a token is required");
    const statement: Statement = {
      by: "publisher",
      ...challenge,
      content: contentOf(request),
    };
    let found = -1;
    for (const [i, token] of tokens.entries()) {
      if (await isProof(request.proof, token, statement)) found = i;
    }
    if (found < 0) throw unauthorized("the token is wrong");
    return found;
  }

  /** Finds or makes the lease for a request. */
  async #claim(
    request: PublishRequest,
    token: number,
    client: string,
  ): Promise<Entry> {
    const { name, port, exact } = request;
    const key = `${token} ${name}`;
    for (;;) {
      const entry = this.#entries.get(key);
      if (entry === undefined) {
        if (this.#closing.size === 0) break;
        // One of them may be the port that the name had.
        await Promise.all(this.#closing);
        continue;
      }
      const { lease } = entry;
      const { holder } = lease;
      if (holder !== undefined && holder.process !== request.process) {
        if (await isAlive(holder)) {
          throw new CallError(
            `the name "${name}" is in use by another publisher, see --name`,
            { code: "name-in-use" },
          );
        }
        // It may have changed meanwhile.
        if (lease.holder !== holder) continue;
      }
      if (lease.ended) continue;
      if (exact && port !== lease.port) {
        lease.end("its publisher asks for another port");
        continue;
      }
      entry.client = client;
      return entry;
    }
    this.#checkLimits(token, client);
    const lease = new Lease(
      name,
      this.#openFor(request),
      this.#leaseOptions,
      () => {
        this.#entries.delete(key);
        const closing = lease.portClosed.then(() => {
          this.#closing.delete(closing);
        });
        this.#closing.add(closing);
      },
    );
    const entry = { lease, token, client };
    this.#entries.set(key, entry);
    return entry;
  }

  #checkLimits(token: number, client: string): void {
    if (this.#closed) {
      throw new CallError("the tunnel server ends", { code: "unavailable" });
    }
    const { maxPorts, maxPortsPerToken, maxPortsPerClient } = this.#options;
    const entries = [...this.#entries.values()];
    const count = (is: (entry: Entry) => boolean) => entries.filter(is).length;
    for (
      const [open, limit, option] of [
        [entries.length, maxPorts, "max-ports"],
        [
          count((entry) => entry.token === token),
          maxPortsPerToken,
          "max-ports-per-token",
        ],
        [
          count((entry) => entry.client === client),
          maxPortsPerClient,
          "max-ports-per-client",
        ],
      ] as const
    ) {
      if (open < limit) continue;
      throw new CallError(
        `the server has as many ports open as its --${option} allows: ${open}`,
        { code: "limit-exceeded" },
      );
    }
  }

  #openFor({ name, port, exact }: PublishRequest) {
    const { place } = this.#options;
    const fixed = place.port;
    if (exact && fixed !== 0 && port !== fixed) {
      throw new CallError(`the server publishes at port ${fixed} only`, {
        code: "bad-arguments",
      });
    }
    const ports = fixed !== 0 ? [fixed] : exact ? [port] : portsFor(name, port);
    try {
      return openFirst(this.#open, ports);
    } catch (cause) {
      const { name, message } = cause as Error;
      throw new CallError(
        name === "AddrInUse"
          ? `port ${fixed || port} is in use`
          : `the server cannot open a port: ${message}`,
        { cause, code: "port-not-open" },
      );
    }
  }

  async #health(call: Call): Promise<void> {
    const [health] = (await call.receive() ?? []) as [unknown?];
    const published = this.#publishers.get(call.peer)?.published;
    published?.lease.setHealth(published.holder, healthFrom(health));
  }
}

/** Whether a publisher answers. */
async function isAlive({ caller }: Holder): Promise<boolean> {
  try {
    await caller.call(SELECTORS.alive, [], { timeout: ALIVE_TIMEOUT });
    return true;
  } catch {
    // It is dead, or it is closing.
    return false;
  }
}

/** The host of an address. */
function clientOf(address: string): string {
  return address.replace(/^\w+:\/\//, "").replace(/:\d+$/, "");
}

/** Checks what a publisher asks for. */
function requestFrom(value: unknown): PublishRequest {
  const { name, process, port, exact, health, proof } =
    (value ?? {}) as Partial<
      Record<keyof PublishRequest, unknown>
    >;
  if (!isName(name)) {
    throw badArguments(
      "a name has 1 to 64 letters, digits and characters of _.:@+-",
    );
  }
  if (!isNonce(process)) throw badArguments("the process is malformed");
  if (!isPort(port)) {
    throw badArguments(`a port is 0, or from ${LOWEST_PORT} to 65535`);
  }
  if (proof !== undefined && typeof proof !== "string") {
    throw badArguments("the proof is malformed");
  }
  return {
    name,
    process,
    port,
    exact: exact === true && port !== 0,
    health: healthFrom(health),
    proof,
  };
}

function isPort(port: unknown): port is number {
  return port === 0 ||
    Number.isInteger(port) && port as number >= LOWEST_PORT &&
      port as number <= 65_535;
}

function healthFrom(value: unknown): Health {
  const { ok, reason } = (value ?? {}) as Partial<
    Record<keyof Health, unknown>
  >;
  return {
    ok: ok !== false,
    reason: String(reason ?? "").slice(0, MAX_REASON),
  };
}

function badArguments(text: string): CallError {
  return new CallError(text, { code: "bad-arguments" });
}

function unauthorized(text: string): CallError {
  return new CallError(text, { code: "unauthorized" });
}
