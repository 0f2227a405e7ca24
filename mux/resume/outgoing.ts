import { type MuxError, protocolError } from "../errors.ts";
import type { MemoryKind } from "../flow/memory_account.ts";
import type { Link } from "./link.ts";
import { encodeAck, RECORD } from "./records.ts";
import { RetainedBytes } from "./retained.ts";

/**
 * The most received bytes before an acknowledgement is sent, even if nothing else is.
 */
const MAX_ACK_STEP = 1024 * 1024;
/** A write of up to this many bytes does not wait for the connection. */
const AT_ONCE = 4 * 1024;
const resolved = Promise.resolve();

/**
 * What an end of a session has to send: written bytes, which are kept until the other
 * end has them, and records that acknowledge received ones.
 */
export class Outgoing {
  readonly #retained: RetainedBytes;
  /** Received bytes after which this side sends an acknowledgement. */
  readonly #ackStep: number;
  /** The connection to send over. */
  #link: Link | undefined;
  /** The offset after what was received. */
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
  #ended = false;
  #peerClosed = false;

  /**
   * Makes one without a connection.
   *
   * @param limit bytes that this side keeps at most
   * @param peerLimit bytes that the other end keeps at most
   */
  constructor(limit: number, peerLimit: number) {
    this.#retained = new RetainedBytes(limit);
    this.#ackStep = Math.max(1, Math.min(MAX_ACK_STEP, peerLimit / 4));
  }

  /** The offset up to which this side has everything. */
  get received(): number {
    return this.#received;
  }

  /** The offset up to which the other end has said to have everything. */
  get acknowledged(): number {
    return this.#retained.acknowledged;
  }

  /** Whether nothing can be written: this side has ended, or the other has closed. */
  get isOver(): boolean {
    return this.#ended || this.#peerClosed;
  }

  /** Whether the other end has closed the session. */
  get peerClosed(): boolean {
    return this.#peerClosed;
  }

  /** Takes the memory for what is kept from an account, from now on. */
  useMemory(memory: MemoryKind): void {
    this.#retained.useMemory(memory);
  }

  /**
   * Sends over another connection, from the first byte that the other end lacks.
   *
   * @param peerReceived the offset up to which the other end has everything
   * @param stated the offset that this side has stated in the handshake
   * @throws {MuxError} `protocol-error` if `peerReceived` cannot be right
   */
  attach(link: Link, peerReceived: number, stated: number): void {
    this.#link = link;
    this.#acked = stated;
    this.#pingDue = this.#pongDue = false;
    const { acknowledged } = this.#retained;
    if (peerReceived < acknowledged) {
      throw protocolError(
        `the other end has received ${peerReceived} bytes, but had acknowledged ${acknowledged}`,
      );
    }
    if (!this.#retained.acknowledge(peerReceived)) throw notSent(peerReceived);
    this.#retained.rewind();
  }

  /** The connection is lost. A write over it may still read its bytes. */
  detach(): void {
    this.#link = undefined;
    this.#retained.wasCut();
  }

  /**
   * Sends bytes; resolves when all of them are kept.
   *
   * @param mayAdopt whether their buffer may be kept; see {@linkcode exchange}
   */
  write(bytes: Uint8Array, mayAdopt: boolean): Promise<void> {
    if (this.#writeAtOnce(bytes)) return resolved;
    this.#bytes = bytes;
    this.#kept = 0;
    this.#mayAdopt = mayAdopt;
    const write = this.#write = Promise.withResolvers<void>();
    this.pump();
    return write.promise;
  }

  /** A buffer in place of one that is kept; undefined if none is. */
  exchange(): Uint8Array<ArrayBuffer> | undefined {
    return this.#retained.exchange();
  }

  /** Sends END after what was written. */
  end(): void {
    if (this.isOver) return;
    this.#ended = true;
    this.#retained.appendEnd();
    this.pump();
  }

  /** So many bytes were received. */
  countReceived(bytes: number): void {
    this.#received += bytes;
    if (this.#received - this.#acked >= this.#ackStep) this.pump();
  }

  /** END was received, which the other end keeps until it is acknowledged. */
  endReceived(): void {
    this.#received++;
    this.pump();
  }

  /**
   * The other end has everything before an offset.
   *
   * @throws {MuxError} `protocol-error` if that was not sent
   */
  acknowledge(offset: number): void {
    if (!this.#retained.acknowledge(offset)) throw notSent(offset);
    if (this.#write !== undefined) this.pump();
  }

  /** Asks the other end for a sign of life. */
  ping(): void {
    this.#pingDue = true;
    this.#retained.trim();
    this.pump();
  }

  /** Answers PING. */
  pong(): void {
    this.#pongDue = true;
    this.#retained.trim();
    this.pump();
  }

  /** A write over the connection has ended. */
  wasWritten(): void {
    this.#retained.wasWritten();
    this.pump();
  }

  /** The other end has closed the session, and takes nothing more. */
  closedByPeer(): void {
    this.#peerClosed = true;
    this.#settleWrite();
  }

  /** Drops everything: the session has ended. */
  clear(failure: Error | undefined): void {
    this.#link = undefined;
    this.#retained.clear();
    if (failure !== undefined) this.#write?.reject(failure);
    this.#settleWrite();
  }

  /** Keeps and sends as much as possible of what is to be sent. */
  pump(): void {
    this.#keep();
    const link = this.#peerClosed ? undefined : this.#link;
    if (link?.isWriting) return;
    const records = link === undefined ? undefined : this.#nextRecords();
    if (records !== undefined) link!.send(records);
    else if (this.#bytes?.length === this.#kept) this.#settleWrite();
  }

  /**
   * Keeps and sends a small write, if nothing is to be sent before it; returns whether
   * it did. The write has ended then, since its bytes are kept: the next one waits for
   * the connection. That spares each call the promise that {@linkcode pump} resolves.
   */
  #writeAtOnce(bytes: Uint8Array): boolean {
    const link = this.#link;
    if (link === undefined || link.isWriting) return false;
    if (this.#pingDue || this.#pongDue || bytes.length > AT_ONCE) return false;
    const record = this.#retained.appendAndTake(bytes, this.#received);
    if (record === undefined) return false;
    this.#acked = this.#received;
    link.send(record);
    return true;
  }

  /** Keeps as much of the write as there is room for. */
  #keep(): void {
    const bytes = this.#bytes;
    if (bytes === undefined) return;
    if (this.#mayAdopt) {
      this.#mayAdopt = false;
      if (this.#retained.adopt(bytes, this.#received)) {
        this.#kept = bytes.length;
      }
    }
    while (this.#kept < bytes.length) {
      const kept = this.#retained.append(bytes, this.#kept, this.#received);
      if (kept === 0) return;
      this.#kept += kept;
    }
  }

  #nextRecords(): Uint8Array | undefined {
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

  #settleWrite(): void {
    this.#bytes = undefined;
    this.#write?.resolve();
    this.#write = undefined;
  }
}

function notSent(received: number): MuxError {
  return protocolError(
    `received an acknowledgement of ${received} bytes, which were not all sent`,
  );
}
