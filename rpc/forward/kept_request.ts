import type { MemoryKind, RawChannel } from "../../mux/internal.ts";
import { kindOf } from "../callback/pointers.ts";
import type { ServerCall } from "../server/server_call.ts";
import { CallLends } from "./loans/call_lends.ts";

/** Bytes of a request that are kept at most; a longer one goes to one peer only. */
const MAX_KEPT = 256 * 1024;
/** What a piece that is kept takes besides its bytes. */
const PIECE_SIZE = 128;

/**
 * The arguments of a call that is forwarded, as bytes: they go to one peer, and from
 * the beginning to another one if the first has refused the call.
 *
 * What was sent is kept for that, within the memory of the session that it came from,
 * until a peer has accepted the call. A stream can be read once only: a request that
 * is one, or has one among its arguments, is not kept.
 */
export class KeptRequest {
  readonly #from: RawChannel;
  readonly #memory: MemoryKind;
  /** The functions in it, if it can have some. */
  readonly lent: CallLends | undefined;
  readonly #piped = Promise.withResolvers<void>();
  /** What was sent; undefined if it cannot be sent again. */
  #kept: Uint8Array[] | undefined;
  #size = 0;
  /** The piece that is sent next, and how much of it was sent. */
  #piece = 0;
  #offset = 0;
  #to: RawChannel | undefined;
  /** What moves bytes to the peer of now. */
  #step: (() => void) | undefined;
  /** What closes the call there when it was closed here. */
  #onClosed: (() => void) | undefined;
  /** Whether the peer of now takes no more. */
  #isBlocked = false;
  /** Whether all of it was sent to that peer. */
  #isSent = false;
  /** Whether it is the last one. */
  #isFinal = false;
  /** Whether the peer of now was sent EOF. */
  eofSent = false;

  /** Makes the request of a call of which nothing was sent. */
  constructor(call: ServerCall) {
    const { channel, request, session } = call;
    this.#from = channel;
    this.#memory = session.account.arguments;
    this.#kept = request.stream === true ? undefined : [];
    const { lends } = request;
    if (lends === undefined) return;
    this.lent = new CallLends(lends, call, (id) => {
      if (kindOf(id) !== "function") this.forget();
    });
  }

  /** Whether all of it can be sent again, and its caller still waits. */
  get canRepeat(): boolean {
    return this.#kept !== undefined && !this.#isFinal && !this.#from.peerClosed;
  }

  /** Resolves when nothing is left to send; never rejects. */
  get piped(): Promise<void> {
    return this.#piped.promise;
  }

  /** Sends all of it to a peer, from the beginning. */
  sendTo(to: RawChannel): void {
    this.#to = to;
    this.#piece = this.#offset = 0;
    this.#isBlocked = this.#isSent = this.eofSent = false;
    const step = () => this.#move(to, step);
    this.#step = step;
    step();
  }

  /** Sends no more for now: the peer has refused the call. */
  stop(): void {
    if (this.#step !== undefined) this.#from.cancelWhenReadable(this.#step);
    if (this.#onClosed !== undefined) {
      this.#from.cancelWhenClosed(this.#onClosed);
    }
    this.#to = this.#step = this.#onClosed = undefined;
  }

  /** It is not sent to another peer: the one of now has accepted the call. */
  settle(): void {
    this.#isFinal = true;
    if (this.#isBlocked) this.#drop();
    if (this.#isSent) this.#piped.resolve();
    if (!this.#isRepeating) this.forget();
  }

  /** The caller gets the refusal of a peer, which takes nothing more. */
  leave(to: RawChannel): void {
    this.#isFinal = true;
    this.#drop();
    this.#from.whenClosed(() => to.discard());
  }

  /** Gives back the memory of what was kept: it is not sent again. */
  forget(): void {
    this.#kept = undefined;
    this.#memory.give(this.#size);
    this.#size = 0;
  }

  /** Whether what was kept is being sent again. */
  get #isRepeating(): boolean {
    return this.#kept !== undefined && this.#piece < this.#kept.length;
  }

  #move(to: RawChannel, step: () => void): void {
    // A peer that has refused the call may still become writable.
    if (this.#to !== to) return;
    const from = this.#from;
    try {
      for (;;) {
        const piece = this.#kept?.[this.#piece];
        const bytes = piece?.subarray(this.#offset) ?? from.peek();
        if (bytes === undefined) {
          if (from.ended) return this.#finish(to);
          return from.whenReadable(step);
        }
        const sent = to.trySend(bytes);
        if (sent === 0) return to.whenWritable(step);
        if (piece !== undefined) this.#advance(piece, sent);
        else {
          const first = bytes.subarray(0, sent);
          this.lent?.onBytes(first);
          this.#keep(first);
          from.consume(sent);
        }
      }
    } catch {
      // What the peer answers decides about the rest.
      this.#isBlocked = true;
      if (this.#isFinal) this.#drop();
    }
  }

  #advance(piece: Uint8Array, sent: number): void {
    this.#offset += sent;
    if (this.#offset < piece.length) return;
    this.#piece++;
    this.#offset = 0;
    if (this.#isFinal && !this.#isRepeating) this.forget();
  }

  #keep(bytes: Uint8Array): void {
    if (this.#kept === undefined || this.#isFinal) return;
    const size = PIECE_SIZE + bytes.length;
    if (this.#size + size > MAX_KEPT || !this.#memory.tryTake(size)) {
      return this.forget();
    }
    this.#size += size;
    this.#piece = this.#kept.push(bytes.slice());
  }

  /** Ends the request at the peer as its caller has ended it here. */
  #finish(to: RawChannel): void {
    const from = this.#from;
    if (from.failure !== undefined) to.abort(from.failure);
    else {
      if (from.eofReceived) {
        to.closeWrite();
        this.eofSent = true;
      }
      const onClosed = this.#onClosed = () => to.discard();
      from.whenClosed(onClosed);
    }
    this.#isSent = true;
    if (this.#isFinal) this.#piped.resolve();
  }

  /** The rest has no destination, and its sender must not wait. */
  #drop(): void {
    this.#from.cancelRead();
    this.#piped.resolve();
  }
}
