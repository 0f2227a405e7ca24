import { timeLimit } from "../../time_limit.ts";
import { view } from "../../view.ts";
import { peerSilent } from "../errors.ts";
import { keepAliveOf, SilenceWatch } from "../flow/silence_watch.ts";
import { nextTurn } from "../flow/turns.ts";
import type { SessionOptions } from "../options.ts";
import { readToEnd } from "../transport/read_to_end.ts";
import type { AbortableTransport, KeptTransport } from "../transport/types.ts";
import type { Established } from "./handshake/handshake.ts";
import { RECORD, RecordDecoder, type RecordSink } from "./records.ts";

/** Milliseconds that the other end has, after CLOSE, to end the connection. */
const LINGER = 1_000;

/**
 * Records after which the event loop turns before the next read. The session above
 * counts its frames, but sees nothing of records that bring it no bytes, and reads that
 * are ready would keep all other sockets waiting: a flood of PING made the calls of
 * others take 3 s. Honest ends send a record with each write, and one turn for so many
 * costs them 0.1 ms.
 */
const RECORDS_PER_TURN = 1_024;

/** What a {@linkcode Link} tells its session. */
export interface LinkOwner extends RecordSink {
  /** A write over the connection has ended. */
  onWritten(link: Link): void;
  /** The connection has failed, or the other end is silent. */
  onFailed(link: Link, error: unknown): void;
  /** The other end is to be asked for a sign of life. */
  onSilence(): void;
}

/**
 * One connection of a session that survives it: the records that it brings, without
 * the bytes that the session has already, and the writes over it.
 */
export class Link {
  /** The connection. */
  readonly transport: AbortableTransport;
  readonly #decoder: RecordDecoder;
  /** What was read in the handshake, until it is decoded. */
  #rest: Uint8Array | undefined;
  /** Bytes of the stream that will arrive although the session has them. */
  #skip: number;
  readonly #watch: SilenceWatch | undefined;
  /** Whether bytes have arrived since the silence was last looked at. */
  #heard = true;
  #reading: Promise<Uint8Array | null> | undefined;
  #writing: Promise<void> | undefined;
  /** Writes that have begun. */
  #writes = 0;
  readonly #onWritten: () => void;
  readonly #onFailed: (error: unknown) => void;
  #giveUp: (() => void) | undefined;

  /**
   * Takes over a connection after its handshake.
   *
   * @param skip bytes of the stream that will arrive although the session has them
   * @param keepAlive when silence counts as a failure
   */
  constructor(
    { incoming, writing }: Established,
    skip: number,
    keepAlive: SessionOptions["keepAlive"],
    owner: LinkOwner,
  ) {
    this.transport = incoming.transport;
    this.#rest = incoming.rest;
    this.#skip = skip;
    this.#decoder = new RecordDecoder({
      onAck: (received) => owner.onAck(received),
      onEnd: () => {
        if (this.#skip > 0) this.#skip--;
        else owner.onEnd();
      },
      onPing: () => owner.onPing(),
      onClose: () => owner.onClose(),
      onRefused: () => owner.onRefused(),
    });
    this.#onWritten = () => {
      this.#writing = undefined;
      owner.onWritten(this);
    };
    this.#onFailed = (error) => owner.onFailed(this, error);
    this.#writing = writing;
    writing.then(this.#onWritten, this.#onFailed);
    this.#watch = this.#watchFor(keepAlive, owner);
  }

  /** Whether a write is under way. */
  get isWriting(): boolean {
    return this.#writing !== undefined;
  }

  /** Whether bytes of the handshake wait for {@linkcode pushRest}. */
  get hasRest(): boolean {
    return this.#rest !== undefined;
  }

  /** Whether what {@linkcode next} returns is valid only until its next call. */
  get isJoining(): boolean {
    return this.#decoder.isJoining;
  }

  /** Whether {@linkcode turn} comes before the next read. */
  get needsTurn(): boolean {
    return this.#decoder.records >= RECORDS_PER_TURN;
  }

  /** Lets the event loop turn after many records. */
  turn(): Promise<void> {
    this.#decoder.records = 0;
    return nextTurn();
  }

  /** Reads from the connection; what arrives goes to {@linkcode push}. */
  read(): Promise<Uint8Array | null> {
    try {
      this.#reading = this.transport.read();
    } catch (error) {
      this.#reading = Promise.reject(error);
    }
    return this.#reading;
  }

  /** Takes the next chunk, when {@linkcode next} has nothing more. */
  push(chunk: Uint8Array): void {
    this.#heard = true;
    this.#decoder.push(chunk);
  }

  /** Takes what was read in the handshake, if that has not been done. */
  pushRest(): void {
    if (this.#rest !== undefined) this.#decoder.push(this.#rest);
    this.#rest = undefined;
  }

  /**
   * The next bytes that the session does not have; undefined if the chunk has none.
   *
   * @throws {MuxError} `protocol-error` if the bytes are not a record
   */
  next(): Uint8Array | undefined {
    for (;;) {
      const bytes = this.#decoder.next();
      if (bytes === undefined || this.#skip === 0) return bytes;
      const known = Math.min(this.#skip, bytes.length);
      this.#skip -= known;
      if (known < bytes.length) return view(bytes, known, bytes.length);
    }
  }

  /** Sends records, when no write is under way. */
  send(records: Uint8Array): void {
    this.#writes++;
    try {
      this.#writing = this.transport.write(records);
    } catch (error) {
      this.#writing = Promise.reject(error);
    }
    this.#writing.then(this.#onWritten, this.#onFailed);
  }

  /** Watches for silence no longer: the session does not use the connection. */
  unwatch(): void {
    this.#watch?.stop();
  }

  /**
   * Sends CLOSE, and waits for the other end to close the connection: closing it
   * while bytes are unread would reset it, and the other end could miss what was sent
   * last.
   */
  async sayClose(): Promise<void> {
    const expired = Promise.withResolvers<void>();
    this.#giveUp = expired.resolve;
    const cancel = timeLimit(LINGER, () => this.abort());
    await Promise.race([expired.promise, this.#leave()]);
    cancel();
  }

  /** Gives up what the connection has not sent, and {@linkcode sayClose}. */
  abort(): void {
    this.transport.abort?.();
    this.#giveUp?.();
  }

  /** Writes CLOSE, ends writing, and reads until the other end has ended its own. */
  async #leave(): Promise<void> {
    const { transport } = this;
    const write = async () => {
      await this.#writing;
      await transport.write(new Uint8Array([RECORD.close]));
      await transport.closeWrite();
    };
    const read = async () => {
      if (await this.#reading !== null) await readToEnd(transport);
    };
    // If one fails, the connection is lost, and so is the session.
    await Promise.all([write(), read()]).catch(() => {});
  }

  /** Gives up a silent connection, if the session watches for silence. */
  #watchFor(
    option: SessionOptions["keepAlive"],
    owner: LinkOwner,
  ): SilenceWatch | undefined {
    const { keepAlive: means } = this.transport as Partial<KeptTransport>;
    const keepAlive = keepAliveOf(option, means !== undefined);
    if (typeof keepAlive !== "object") return undefined;
    let started = false;
    let signs = 0;
    return new SilenceWatch({
      heard: () => {
        started ||= means?.start?.() ?? true;
        const before = signs;
        signs = means?.signs ?? 0;
        const heard = this.#heard || signs !== before;
        this.#heard = false;
        return heard;
      },
      write: () => this.#writing === undefined ? 0 : this.#writes,
      ask: () => {
        owner.onSilence();
        return true;
      },
      lost: (silence) => owner.onFailed(this, peerSilent(silence)),
    }, keepAlive);
  }
}
