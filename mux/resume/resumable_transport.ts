import { timeLimit } from "../../time_limit.ts";
import { view } from "../../view.ts";
import { type MuxError, peerSilent, protocolError } from "../errors.ts";
import type { MemoryAccount } from "../flow/memory_account.ts";
import { keepAliveOf, SilenceWatch } from "../flow/silence_watch.ts";
import { nextTurn } from "../flow/turns.ts";
import type { SessionOptions } from "../options.ts";
import { readToEnd } from "../transport/read_to_end.ts";
import type {
  AbortableTransport,
  AccountedTransport,
  AdoptingTransport,
  DividedTransport,
  GatheringTransport,
  KeptTransport,
  WatchingTransport,
} from "../transport/types.ts";
import type { Transport } from "../types.ts";
import { notResumed, unknownSession } from "./errors.ts";
import type { Established } from "./handshake/handshake.ts";
import { DATA_HEADER, encodeAck, RECORD, RecordDecoder } from "./records.ts";
import { RetainedBytes } from "./retained.ts";
import { isLimited, type ResolvedResumeLimits } from "./types.ts";

/** Milliseconds that the other end has, after CLOSE, to end the connection. */
const LINGER = 1_000;
/**
 * The most received bytes before an acknowledgement is sent, even if nothing else is.
 */
const MAX_ACK_STEP = 1024 * 1024;

/**
 * Bytes from which on a write takes no further DATA. Three to five writes are kept at
 * a time, as a whole until the last byte of each is acknowledged. With 128 KiB in place
 * of 256, transfers had 0.86 of the speed of plain sessions on two cores, not 0.76, and
 * 0.85 on one, not 0.81; with 64, no more (tests/bench/LOG.md).
 */
const WRITE_TARGET = 128 * 1024;

/** A write of up to this many bytes does not wait for the connection. */
const AT_ONCE = 4 * 1024;
const resolved = Promise.resolve();

/**
 * Records after which the event loop turns before the next read. The session above
 * counts its frames, but sees nothing of records that bring it no bytes, and reads that
 * are ready would keep all other sockets waiting: a flood of PING made the calls of
 * others take 3 s. Honest ends send a record with each write, and one turn for so many
 * costs them 0.1 ms.
 */
const RECORDS_PER_TURN = 1_024;

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

/** One connection of a session. */
interface Link {
  readonly transport: Transport;
  readonly decoder: RecordDecoder;
  /** What was read in the handshake. */
  rest: Uint8Array | undefined;
  /** Bytes of the stream that this side has already. */
  skip: number;
  watch: SilenceWatch | undefined;
  /** Whether bytes have arrived since the silence was last looked at. */
  heard: boolean;
  reading: Promise<Uint8Array | null> | undefined;
  writing: Promise<void> | undefined;
  /** Writes that have begun. */
  writes: number;
  readonly onChunk: (
    chunk: Uint8Array | null,
  ) => Uint8Array | Promise<Uint8Array | null>;
  readonly onReadFailed: (error: unknown) => Promise<Uint8Array | null>;
  readonly onWritten: () => void;
  readonly onFailed: (error: unknown) => void;
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
  readonly #retained: RetainedBytes;
  readonly #limits: ResolvedResumeLimits;
  readonly #keepAlive: SessionOptions["keepAlive"];
  readonly #events: ResumableEvents;
  /** Received bytes after which this side sends an acknowledgement. */
  readonly #ackStep: number;
  #link: Link | undefined;
  #resumed = 0;
  /** Why it lost its last connection. */
  #lost: unknown;
  /** The offset after what was read. */
  #received = 0;
  /** What the other end knows about that. */
  #acked = 0;
  #pingDue = false;
  #pongDue = false;
  /** The write that has not ended, and how much of it is kept. */
  #bytes: Uint8Array | undefined;
  #kept = 0;
  /** Whether its buffer may be kept. */
  #mayAdopt = false;
  #write: PromiseWithResolvers<void> | undefined;
  /** Set while nothing is taken from the connection. */
  #paused: PromiseWithResolvers<void> | undefined;
  /** The read that waits for a connection. */
  #attached: PromiseWithResolvers<void> | undefined;
  #inputEnded = false;
  #outputEnded = false;
  #peerClosed = false;
  #ended = false;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #giveUp: (() => void) | undefined;
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
    this.#retained = new RetainedBytes(limits.maxUnacknowledged);
    this.#ackStep = Math.max(1, Math.min(MAX_ACK_STEP, peerLimit / 4));
    this.#begin(connection);
  }

  /** The offset up to which this side has everything. */
  get received(): number {
    return this.#received;
  }

  /** Bytes that have passed in both directions, as far as this side knows. */
  get passed(): number {
    return this.#received + this.#retained.acknowledged;
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
    this.#retained.useMemory(account.unacknowledged);
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
    if (link === undefined || link.rest !== undefined || this.#paused) {
      return this.#readWhenPossible();
    }
    return this.#readFrom(link);
  }

  more(): Uint8Array | undefined {
    const link = this.#link;
    if (link === undefined || this.#paused !== undefined) return undefined;
    return link.decoder.isJoining ? undefined : this.#nextOf(link);
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ended || this.#outputEnded || this.#peerClosed) {
      return Promise.reject(
        new TypeError("Cannot write to session: it has ended"),
      );
    }
    if (bytes.length === 0) return Promise.resolve();
    if (this.#writeAtOnce(bytes)) return resolved;
    this.#bytes = bytes;
    this.#kept = 0;
    const write = this.#write = Promise.withResolvers<void>();
    this.#pump();
    return write.promise;
  }

  writeOwned(bytes: Uint8Array): Promise<void> {
    this.#mayAdopt = true;
    return this.write(bytes);
  }

  exchange(): Uint8Array<ArrayBuffer> | undefined {
    return this.#retained.exchange();
  }

  closeWrite(): Promise<void> {
    if (!this.#ended && !this.#outputEnded && !this.#peerClosed) {
      this.#outputEnded = true;
      this.#retained.appendEnd();
      this.#pump();
    }
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  abort(): void {
    this.#aborted = true;
    this.#giveUp?.();
    const transport = this.#link?.transport as AbortableTransport | undefined;
    transport?.abort?.();
  }

  #begin(connection: Established): void {
    const { incoming, peerReceived, stated, writing } = connection;
    const { transport } = incoming;
    const link: Link = {
      transport,
      decoder: new RecordDecoder({
        onAck: (received) => this.#onAck(received),
        onEnd: () => this.#onEnd(link),
        onPing: () => {
          this.#pongDue = true;
          this.#retained.trim();
          this.#pump();
        },
        onClose: () => {
          this.#peerClosed = true;
          this.#settleWrite();
        },
        // A dialer that has proved its identity learns only now that it was refused.
        onRefused: () => this.fail(unknownSession(this.#lost)),
      }),
      rest: incoming.rest,
      skip: this.#received - stated,
      watch: undefined,
      heard: true,
      reading: undefined,
      writing,
      writes: 0,
      onChunk: (chunk) => this.#onChunk(link, chunk),
      onReadFailed: (error) => this.#onReadFailed(link, error),
      onWritten: () => this.#written(link),
      onFailed: (error) => this.#lose(link, error),
    };
    writing.then(link.onWritten, link.onFailed);
    this.#link = link;
    this.#acked = stated;
    this.#pingDue = this.#pongDue = false;
    link.watch = this.#watch(link);
    const { acknowledged } = this.#retained;
    if (peerReceived < acknowledged) {
      return this.fail(notKept(peerReceived, acknowledged));
    }
    if (!this.#retained.acknowledge(peerReceived)) {
      return this.fail(notSent(peerReceived));
    }
    this.#retained.rewind();
    this.#attached?.resolve();
    this.#attached = undefined;
    this.#pump();
  }

  /** Gives up a silent connection, if the session watches for silence. */
  #watch(link: Link): SilenceWatch | undefined {
    const { keepAlive: means } = link.transport as Partial<KeptTransport>;
    const keepAlive = keepAliveOf(this.#keepAlive, means !== undefined);
    if (typeof keepAlive !== "object") return undefined;
    let started = false;
    let signs = 0;
    return new SilenceWatch({
      heard() {
        started ||= means?.start?.() ?? true;
        const before = signs;
        signs = means?.signs ?? 0;
        const heard = link.heard || signs !== before;
        link.heard = false;
        return heard;
      },
      write: () => link.writing === undefined ? 0 : link.writes,
      ask: () => {
        this.#retained.trim();
        this.#pingDue = true;
        this.#pump();
        return true;
      },
      lost: (silence) => this.#lose(link, peerSilent(silence)),
    }, keepAlive);
  }

  /** The part of the received bytes that is new; undefined if none is. */
  #take(link: Link, bytes: Uint8Array): Uint8Array | undefined {
    let fresh = bytes;
    if (link.skip > 0) {
      const known = Math.min(link.skip, bytes.length);
      link.skip -= known;
      if (known === bytes.length) return undefined;
      fresh = view(bytes, known, bytes.length);
    }
    this.#received += fresh.length;
    if (this.#received - this.#acked >= this.#ackStep) this.#pump();
    return fresh;
  }

  /** Reads from a connection, or from the next one if that is lost. */
  #readFrom(link: Link): Promise<Uint8Array | null> {
    const fresh = this.#nextOf(link);
    if (fresh !== undefined) return Promise.resolve(fresh);
    if (
      link !== this.#link || this.#hasEnded() ||
      link.decoder.records >= RECORDS_PER_TURN
    ) return this.#readWhenPossible();
    try {
      link.reading = link.transport.read();
    } catch (error) {
      link.reading = Promise.reject(error);
    }
    // Each `await` in between would cost a call about as much as decoding a frame.
    return link.reading.then(link.onChunk, link.onReadFailed);
  }

  #onChunk(
    link: Link,
    chunk: Uint8Array | null,
  ): Uint8Array | Promise<Uint8Array | null> {
    if (this.#push(link, chunk)) {
      const fresh = this.#nextOf(link);
      if (fresh !== undefined) return fresh;
    }
    return this.#readWhenPossible();
  }

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
    link.heard = true;
    link.decoder.push(chunk);
    return this.#paused === undefined;
  }

  #onReadFailed(link: Link, error: unknown): Promise<Uint8Array | null> {
    this.#lose(link, error);
    return this.#readWhenPossible();
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
      if (link.rest !== undefined) {
        link.decoder.push(link.rest);
        link.rest = undefined;
      }
      const fresh = this.#nextOf(link);
      if (fresh !== undefined) return fresh;
      if (link !== this.#link || this.#hasEnded()) continue;
      if (link.decoder.records >= RECORDS_PER_TURN) {
        link.decoder.records = 0;
        await nextTurn();
        continue;
      }
      try {
        link.reading = link.transport.read();
        this.#push(link, await link.reading);
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
    try {
      while (!this.#hasEnded()) {
        const bytes = link.decoder.next();
        if (bytes === undefined) return undefined;
        const fresh = this.#take(link, bytes);
        if (fresh !== undefined) return fresh;
      }
    } catch (error) {
      this.fail(error as Error);
    }
    return undefined;
  }

  #onAck(received: number): void {
    if (!this.#retained.acknowledge(received)) throw notSent(received);
    if (this.#write !== undefined) this.#pump();
  }

  #onEnd(link: Link): void {
    if (link.skip > 0) {
      link.skip--;
      return;
    }
    this.#inputEnded = true;
    this.#received++;
    this.#pump();
  }

  /**
   * Keeps and sends a small write, if nothing is to be sent before it; returns whether
   * it did. The write has ended then, since its bytes are kept: the next one waits for
   * the connection. That spares each call the promise that {@linkcode #pump} resolves.
   */
  #writeAtOnce(bytes: Uint8Array): boolean {
    const link = this.#link;
    if (link === undefined || link.writing !== undefined) return false;
    if (this.#pingDue || this.#pongDue || bytes.length > AT_ONCE) return false;
    const record = this.#retained.appendAndTake(bytes, this.#received);
    if (record === undefined) return false;
    this.#mayAdopt = false;
    this.#acked = this.#received;
    this.#send(link, record);
    return true;
  }

  /** Keeps and sends as much as possible of what is to be sent. */
  #pump(): void {
    const bytes = this.#bytes;
    if (this.#mayAdopt && bytes !== undefined) {
      this.#mayAdopt = false;
      if (this.#retained.adopt(bytes, this.#received)) {
        this.#kept = bytes.length;
      }
    }
    while (bytes !== undefined && this.#kept < bytes.length) {
      const kept = this.#retained.append(bytes, this.#kept, this.#received);
      if (kept === 0) break;
      this.#kept += kept;
    }
    const link = this.#link;
    if (link === undefined || this.#peerClosed) {
      if (bytes !== undefined && this.#kept === bytes.length) {
        this.#settleWrite();
      }
      return;
    }
    if (link.writing !== undefined) return;
    const next = this.#nextRecord();
    if (next === undefined) {
      if (bytes !== undefined && this.#kept === bytes.length) {
        this.#settleWrite();
      }
      return;
    }
    this.#send(link, next);
  }

  #send(link: Link, records: Uint8Array): void {
    link.writes++;
    try {
      link.writing = link.transport.write(records);
    } catch (error) {
      link.writing = Promise.reject(error);
    }
    link.writing.then(link.onWritten, link.onFailed);
  }

  #nextRecord(): Uint8Array | undefined {
    if (this.#pingDue || this.#pongDue) {
      const type = this.#pongDue ? RECORD.pong : RECORD.ping;
      if (this.#pongDue) this.#pongDue = false;
      else this.#pingDue = false;
      this.#acked = this.#received;
      return encodeAck(type, this.#received);
    }
    const records = this.#retained.take(this.#received);
    if (records !== undefined) {
      this.#acked = Math.max(this.#acked, this.#retained.stated);
      return records;
    }
    if (this.#received - this.#acked < this.#ackStep) return undefined;
    this.#acked = this.#received;
    return encodeAck(RECORD.ack, this.#received);
  }

  #written(link: Link): void {
    link.writing = undefined;
    if (link !== this.#link) return;
    this.#retained.wasWritten();
    this.#pump();
  }

  #settleWrite(): void {
    this.#bytes = undefined;
    this.#write?.resolve();
    this.#write = undefined;
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
    this.#pump();
    this.#events.onDetached?.(error);
  }

  #drop(link: Link): void {
    this.#link = undefined;
    link.watch?.stop();
    this.#retained.wasCut();
    this.#leave(link.transport);
  }

  /** Closes a connection that is no longer used. */
  #leave(transport: AbortableTransport): void {
    transport.abort?.();
    const left = closed(transport).then(() => void this.#leaving.delete(left));
    this.#leaving.add(left);
  }

  #hasEnded(): boolean {
    return this.#ended || this.#inputEnded || this.#peerClosed;
  }

  #end(failure: Error | undefined): void {
    this.#ended = true;
    this.#failure = failure;
    this.#link?.watch?.stop();
    this.#link = undefined;
    this.#cancelTimeout?.();
    this.#retained.clear();
    this.#bytes = undefined;
    if (failure === undefined) this.#write?.resolve();
    else this.#write?.reject(failure);
    this.#write = undefined;
    this.#attached?.resolve();
    this.unpause();
    this.#events.onEnded?.(failure);
  }

  async #close(): Promise<void> {
    const link = this.#link;
    if (!this.#ended) this.#end(undefined);
    if (link !== undefined) {
      if (!this.#peerClosed && !this.#aborted) await this.#sayClose(link);
      this.#leave(link.transport);
    }
    await Promise.all(this.#leaving);
  }

  /**
   * Sends CLOSE, and waits for the other end to close the connection: closing it
   * while bytes are unread would reset it, and the other end could miss what was sent
   * last.
   */
  async #sayClose(link: Link): Promise<void> {
    const expired = Promise.withResolvers<void>();
    this.#giveUp = () => {
      (link.transport as AbortableTransport).abort?.();
      expired.resolve();
    };
    const cancel = timeLimit(LINGER, this.#giveUp);
    await Promise.race([expired.promise, leave(link)]);
    cancel();
  }
}

function notSent(received: number): MuxError {
  return protocolError(
    `received an acknowledgement of ${received} bytes, which were not all sent`,
  );
}

function notKept(received: number, acknowledged: number): MuxError {
  return protocolError(
    `the other end has received ${received} bytes, but had acknowledged ${acknowledged}`,
  );
}

/**
 * Writes CLOSE, ends writing, and reads until the other end has ended its own
 * writing.
 */
async function leave(link: Link): Promise<void> {
  const { transport } = link;
  const write = async () => {
    await link.writing;
    await transport.write(new Uint8Array([RECORD.close]));
    await transport.closeWrite();
  };
  const read = async () => {
    if (await link.reading !== null) await readToEnd(transport);
  };
  // If one fails, the connection is lost, and so is the session.
  await Promise.all([write(), read()]).catch(() => {});
}

async function closed(transport: Transport): Promise<void> {
  try {
    await transport.close();
  } catch {
    // It is not used any more.
  }
}
