import { timeLimit } from "../../time_limit.ts";
import type { MemoryAccount } from "../flow/memory_account.ts";
import type { SessionOptions } from "../options.ts";
import type {
  AbortableTransport,
  AccountedTransport,
  AdoptingTransport,
  DividedTransport,
  GatheringTransport,
  WatchingTransport,
} from "../transport/types.ts";
import { notResumed, unknownSession } from "./errors.ts";
import type { Established } from "./handshake/handshake.ts";
import { Link, type LinkOwner } from "./link.ts";
import { Outgoing } from "./outgoing.ts";
import { DATA_HEADER } from "./records.ts";
import { isLimited, type ResolvedResumeLimits } from "./types.ts";

/**
 * Bytes from which on a write takes no further DATA. Three to five writes are kept at
 * a time, as a whole until the last byte of each is acknowledged. With 128 KiB in place
 * of 256, transfers had 0.86 of the speed of plain sessions on two cores, not 0.76, and
 * 0.85 on one, not 0.81; with 64, no more (tests/bench/LOG.md).
 */
const WRITE_TARGET = 128 * 1024;

/** Callbacks of a {@linkcode ResumableTransport}. */
export interface ResumableEvents {
  /** It has another connection. */
  onAttached?(): void;
  /** It has lost its connection. */
  onDetached?(error: unknown): void;
  /** It has ended, and will not have another connection. */
  onEnded?(error: unknown): void;
}

/** How a {@linkcode ResumableTransport} is made. */
export interface ResumableOptions {
  /** The limits. */
  readonly limits: ResolvedResumeLimits;
  /** Bytes that the other end keeps at most. */
  readonly peerLimit: number;
  /** When a silent connection is given up. */
  readonly keepAlive: SessionOptions["keepAlive"];
  /** The callbacks. */
  readonly events: ResumableEvents;
}

/**
 * The byte streams of a session over a series of connections. It is made with the
 * first connection; {@linkcode attach} gives it the next one.
 *
 * Written bytes are kept until the other end has them. Without a connection, writes
 * continue until the room is used up, and then wait; reads wait, too. A program that
 * writes must also read, because acknowledgements arrive with what the other end
 * sends.
 */
export class ResumableTransport
  implements
    AbortableTransport,
    AccountedTransport,
    AdoptingTransport,
    DividedTransport,
    WatchingTransport {
  readonly watchesItself = true;
  readonly headroom = DATA_HEADER;
  readonly writeTarget = WRITE_TARGET;
  readonly #outgoing: Outgoing;
  readonly #limits: ResolvedResumeLimits;
  readonly #keepAlive: SessionOptions["keepAlive"];
  readonly #events: ResumableEvents;
  #link: Link | undefined;
  /** The connection over which the session says that it is closed. */
  #lastLink: Link | undefined;
  #resumed = 0;
  /** Why it lost its last connection. */
  #lost: unknown;
  /** Set while nothing is taken from the connection. */
  #paused: PromiseWithResolvers<void> | undefined;
  /** The read that waits for a connection. */
  #attached: PromiseWithResolvers<void> | undefined;
  #onChunk!: (
    chunk: Uint8Array | null,
  ) => Uint8Array | Promise<Uint8Array | null>;
  #onReadFailed!: (error: unknown) => Promise<Uint8Array | null>;
  #inputEnded = false;
  #ended = false;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #aborted = false;
  /** Connections that are being closed. */
  readonly #leaving = new Set<Promise<void>>();
  #cancelTimeout: (() => void) | undefined;

  /** Makes the streams of a session, and gives them their first connection. */
  constructor(
    { limits, peerLimit, keepAlive, events }: ResumableOptions,
    connection: Established,
  ) {
    this.#limits = limits;
    this.#keepAlive = keepAlive;
    this.#events = events;
    this.#outgoing = new Outgoing(limits.maxUnacknowledged, peerLimit);
    this.#begin(connection);
  }

  /** The offset up to which this side has everything. */
  get received(): number {
    return this.#outgoing.received;
  }

  /** Bytes that have passed in both directions, as far as this side knows. */
  get passed(): number {
    return this.#outgoing.received + this.#outgoing.acknowledged;
  }

  /** Whether it has ended. */
  get hasEnded(): boolean {
    return this.#ended;
  }

  /** How many connections there were after the first. */
  get resumed(): number {
    return this.#resumed;
  }

  /** What the first connection says about early writes. */
  get earlyWrite(): number | undefined {
    const transport = this.#link?.transport;
    return (transport as Partial<GatheringTransport> | undefined)?.earlyWrite;
  }

  useAccount(account: MemoryAccount): void {
    this.#outgoing.useMemory(account.unacknowledged);
  }

  /** Continues over another connection, which replaces the current one, if any. */
  attach(connection: Established): void {
    if (this.#ended) return this.#leave(connection.incoming.transport);
    if (this.#link !== undefined) this.#drop(this.#link);
    this.#cancelTimeout?.();
    this.unpause();
    this.#resumed++;
    this.#begin(connection);
    if (!this.#ended) this.#events.onAttached?.();
  }

  /**
   * Takes nothing more from the connection, though it stays: a dialer that continues
   * the session over another one has said what it has received. It ends with
   * {@linkcode attach}, or with {@linkcode unpause} if the attempt has failed.
   */
  pause(): void {
    if (!this.#ended) this.#paused ??= Promise.withResolvers();
  }

  /** Goes on with the connection after {@linkcode pause}. */
  unpause(): void {
    this.#paused?.resolve();
    this.#paused = undefined;
  }

  /** Gives up the connection, but not the session. */
  detach(error: unknown): void {
    if (this.#link !== undefined) this.#lose(this.#link, error);
  }

  /** Ends the session with an error. */
  fail(error: Error): void {
    if (this.#ended) return;
    const link = this.#link;
    this.#end(error);
    if (link !== undefined) this.#leave(link.transport);
  }

  read(): Promise<Uint8Array | null> {
    const link = this.#link;
    if (link === undefined || link.hasRest || this.#paused) {
      return this.#readWhenPossible();
    }
    const fresh = this.#nextOf(link);
    if (fresh !== undefined) return Promise.resolve(fresh);
    if (link !== this.#link || this.#hasEnded() || link.needsTurn) {
      return this.#readWhenPossible();
    }
    // Each `await` in between would cost a call about as much as decoding a frame.
    return link.read().then(this.#onChunk, this.#onReadFailed);
  }

  more(): Uint8Array | undefined {
    const link = this.#link;
    if (link === undefined || this.#paused !== undefined) return undefined;
    return link.isJoining ? undefined : this.#nextOf(link);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#write(bytes, false);
  }

  writeOwned(bytes: Uint8Array): Promise<void> {
    return this.#write(bytes, true);
  }

  exchange(): Uint8Array<ArrayBuffer> | undefined {
    return this.#outgoing.exchange();
  }

  closeWrite(): Promise<void> {
    if (!this.#ended) this.#outgoing.end();
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  abort(): void {
    this.#aborted = true;
    (this.#link ?? this.#lastLink)?.abort();
  }

  #write(bytes: Uint8Array, mayAdopt: boolean): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ended || this.#outgoing.isOver) {
      return Promise.reject(
        new TypeError("Cannot write to session: it has ended"),
      );
    }
    if (bytes.length === 0) return Promise.resolve();
    return this.#outgoing.write(bytes, mayAdopt);
  }

  #begin(connection: Established): void {
    const outgoing = this.#outgoing;
    const { peerReceived, stated } = connection;
    const skip = outgoing.received - stated;
    const link: Link = new Link(connection, skip, this.#keepAlive, this.#owner);
    this.#link = link;
    this.#onChunk = (chunk) => {
      const fresh = this.#push(link, chunk) ? this.#nextOf(link) : undefined;
      return fresh ?? this.#readWhenPossible();
    };
    this.#onReadFailed = (error) => {
      this.#lose(link, error);
      return this.#readWhenPossible();
    };
    try {
      outgoing.attach(link, peerReceived, stated);
    } catch (error) {
      return this.fail(error as Error);
    }
    this.#attached?.resolve();
    this.#attached = undefined;
    outgoing.pump();
  }

  /** What connections tell the session. */
  readonly #owner: LinkOwner = {
    onAck: (received) => this.#outgoing.acknowledge(received),
    onEnd: () => {
      this.#inputEnded = true;
      this.#outgoing.endReceived();
    },
    onPing: () => this.#outgoing.pong(),
    onClose: () => this.#outgoing.closedByPeer(),
    // A dialer that has proved its identity learns only now that it was refused.
    onRefused: () => this.fail(unknownSession(this.#lost)),
    onWritten: (link) => {
      if (link === this.#link) this.#outgoing.wasWritten();
    },
    onFailed: (link, error) => this.#lose(link, error),
    onSilence: () => this.#outgoing.ping(),
  };

  /** Decodes a chunk of a connection; returns whether its bytes can be taken now. */
  #push(link: Link, chunk: Uint8Array | null): boolean {
    if (link !== this.#link) return false;
    if (chunk === null) {
      this.#lose(
        link,
        new Error("the other side, or what is between, ended it"),
      );
      return false;
    }
    link.push(chunk);
    return this.#paused === undefined;
  }

  /**
   * Reads when there is a connection from which to read, or says how it has ended. It
   * is a loop, because promises that each wait for the next one would all be kept: a
   * peer could send records without DATA forever, and an idle one sends PING.
   */
  async #readWhenPossible(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#hasEnded()) return null;
      if (this.#paused !== undefined) {
        await this.#paused.promise;
        continue;
      }
      const link = this.#link;
      if (link === undefined) {
        this.#attached ??= Promise.withResolvers();
        await this.#attached.promise;
        continue;
      }
      link.pushRest();
      const fresh = this.#nextOf(link);
      if (fresh !== undefined) return fresh;
      if (link !== this.#link || this.#hasEnded()) continue;
      if (link.needsTurn) {
        await link.turn();
        continue;
      }
      try {
        this.#push(link, await link.read());
      } catch (error) {
        this.#lose(link, error);
      }
    }
  }

  /**
   * The next bytes that a connection has brought, and that are new; undefined if there
   * are none.
   */
  #nextOf(link: Link): Uint8Array | undefined {
    if (this.#hasEnded()) return undefined;
    try {
      const fresh = link.next();
      if (fresh !== undefined) this.#outgoing.countReceived(fresh.length);
      return fresh;
    } catch (error) {
      this.fail(error as Error);
      return undefined;
    }
  }

  /** Loses a connection: the session waits for the next one. */
  #lose(link: Link, error: unknown): void {
    if (link !== this.#link) return;
    this.#drop(link);
    this.#lost = error;
    const { timeout } = this.#limits;
    if (isLimited(timeout)) {
      this.#cancelTimeout = timeLimit(
        timeout,
        () => this.fail(notResumed(timeout, error)),
      );
    }
    this.#outgoing.pump();
    this.#events.onDetached?.(error);
  }

  #drop(link: Link): void {
    this.#link = undefined;
    link.unwatch();
    this.#outgoing.detach();
    this.#leave(link.transport);
  }

  /** Closes a connection that is no longer used. */
  #leave(transport: AbortableTransport): void {
    transport.abort?.();
    const left = closed(transport).then(() => void this.#leaving.delete(left));
    this.#leaving.add(left);
  }

  #hasEnded(): boolean {
    return this.#ended || this.#inputEnded || this.#outgoing.peerClosed;
  }

  #end(failure: Error | undefined): void {
    this.#ended = true;
    this.#failure = failure;
    this.#link?.unwatch();
    this.#link = undefined;
    this.#cancelTimeout?.();
    this.#outgoing.clear(failure);
    this.#attached?.resolve();
    this.unpause();
    this.#events.onEnded?.(failure);
  }

  async #close(): Promise<void> {
    const link = this.#link;
    if (!this.#ended) this.#end(undefined);
    if (link !== undefined) {
      if (!this.#outgoing.peerClosed && !this.#aborted) {
        this.#lastLink = link;
        await link.sayClose();
      }
      this.#leave(link.transport);
    }
    await Promise.all(this.#leaving);
  }
}

async function closed(transport: AbortableTransport): Promise<void> {
  try {
    await transport.close();
  } catch {
    // It is not used any more.
  }
}
