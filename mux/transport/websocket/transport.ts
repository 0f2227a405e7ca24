/**
 * A WebSocket as a transport: binary messages, whose borders mean nothing.
 *
 * @module
 */
import { MuxError } from "../../errors.ts";
import type { Transport } from "../../types.ts";

/** Bytes of one message at most: some receivers refuse more than a mebibyte. */
export const MAX_MESSAGE = 1024 * 1024;
/**
 * Bytes handed to a socket and not sent yet beyond which a write waits: the
 * socket would take any number of them.
 */
export const MAX_BUFFERED = 1024 * 1024;
/** Milliseconds between two looks at what is not sent yet, at first and later. */
const LOOK_AGAIN = { min: 1, max: 16 };
/** Milliseconds that the other end has to answer CLOSE. */
const CLOSE_TIMEOUT = 1_000;

/** Codes that CLOSE gives for a reason. */
export const CloseCode = {
  /** All was said. */
  NORMAL: 1000,
  /** The other end broke the rules. */
  PROTOCOL_ERROR: 1002,
  /** As that, from where a program may not use the reserved codes. */
  PROTOCOL_ERROR_HERE: 4002,
} as const;

/**
 * Ends that are as good as any: all said, going away, no code given, the
 * server restarts, try later.
 */
const GOOD_ENDS = [1000, 1001, 1005, 1012, 1013];

/** The error for a WebSocket that ended with `code`, if that is no good end. */
export function closingError(code: number, reason: string): Error | undefined {
  if (GOOD_ENDS.includes(code)) return undefined;
  if (code === 0 || code === 1006) return brokenOff(reason);
  return new Error(
    `the other end closed the WebSocket: ${code}${reason && ` ${reason}`}`,
  );
}

/** The error for a WebSocket that ended without CLOSE. */
export function brokenOff(why: string): Error {
  return new Error(`the WebSocket broke off${why && `: ${why}`}`);
}

/** What is used of a `WebSocket`, so that other makes of it will do. */
export interface WebSocketLike extends EventTarget {
  /** Set to `"arraybuffer"`. */
  binaryType: string;
  /** 0 while it connects, 1 while it is open. */
  readonly readyState: number;
  /** Bytes handed over and not sent yet. */
  readonly bufferedAmount: number;
  /** Sends a message; the bytes are the caller's again when it returns. */
  send(data: Uint8Array<ArrayBuffer>): void;
  /** Sends CLOSE. */
  close(code?: number, reason?: string): void;
}

/**
 * Drives a `WebSocket` as a transport, which owns it: one that connects still,
 * or one that was just opened or upgraded, before any message came.
 *
 * WebSocket has no half-close: `closeWrite()` asks for the end of both
 * directions, and what arrives meanwhile may be lost. Nothing holds the other
 * end back but the windows of the session above, so whoever has no session has
 * to read fast enough.
 *
 * `dial("ws://…")` is made of something else in Deno, whose own `WebSocket`
 * client takes 44 ms for a message of more than 1,024 bytes.
 *
 * @example
 * ```ts ignore
 * import { Peer } from "@qtalk/qtalk";
 * import { qmux, webSocketTransport } from "@qtalk/qtalk/mux";
 *
 * const socket = new WebSocket("wss://example.com/");
 * await using peer = new Peer(qmux(webSocketTransport(socket)));
 * ```
 *
 * @param socket not closing yet
 */
export function webSocketTransport(socket: WebSocketLike): Transport {
  return new WebSocketTransport(socket);
}

class WebSocketTransport implements Transport {
  readonly #socket: WebSocketLike;
  /** Messages that came and were not read. */
  readonly #received: Uint8Array[] = [];
  #reader: PromiseWithResolvers<Uint8Array | null> | undefined;
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  /** Whether there is no more to come, and why if it is not a good end. */
  #ended = false;
  #failure: unknown;
  /** Looks whether a write that waits can go on. */
  #look: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(socket: WebSocketLike) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    this.#opened.promise.catch(() => {});
    if (socket.readyState === 1) this.#opened.resolve();
    socket.addEventListener("open", () => this.#opened.resolve());
    socket.addEventListener("message", (event) => {
      this.#message((event as MessageEvent<unknown>).data);
    });
    let broken: string | undefined;
    socket.addEventListener("error", (event) => {
      broken = (event as Partial<ErrorEvent>).message ?? "";
      // Node tells of what cannot be connected to by this alone.
      if (socket.readyState !== 0) return;
      this.#end(brokenOff(broken));
      this.#closed.resolve();
    });
    socket.addEventListener("close", (event) => {
      const { code, reason } = event as CloseEvent;
      // Deno gives a client that is silent for too long a good end's code.
      this.#end(
        broken === undefined ? closingError(code, reason) : brokenOff(broken),
      );
      this.#closed.resolve();
    });
  }

  read(): Promise<Uint8Array | null> {
    const message = this.#received.shift();
    if (message !== undefined) return Promise.resolve(message);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ended) return Promise.resolve(null);
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#socket.readyState === 0) await this.#opened.promise;
    for (let at = 0; at < bytes.length; at += MAX_MESSAGE) {
      this.#checkOpen();
      const message = bytes.subarray(at, at + MAX_MESSAGE);
      // No pair of streams shares its memory with other threads.
      this.#socket.send(message as Uint8Array<ArrayBuffer>);
      if (this.#isFull()) await this.#drain();
    }
  }

  async closeWrite(): Promise<void> {
    // Closed before it is open it would break off.
    if (this.#socket.readyState === 0) {
      await this.#opened.promise.catch(() => {});
    }
    if (!this.#ended) this.#socket.close(CloseCode.NORMAL);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#socket.close(
      this.#failure === undefined
        ? CloseCode.NORMAL
        : CloseCode.PROTOCOL_ERROR_HERE,
    );
    this.#end(undefined);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT);
    });
    await Promise.race([this.#closed.promise, limit]);
    clearTimeout(timer);
  }

  #message(data: unknown): void {
    if (this.#ended) return;
    if (!(data instanceof ArrayBuffer)) return this.#end(textRefused());
    const bytes = new Uint8Array(data);
    if (this.#reader === undefined) this.#received.push(bytes);
    else {
      this.#reader.resolve(bytes);
      this.#reader = undefined;
    }
    // Credit has come, perhaps: as good a moment as any to look.
    this.#look?.();
  }

  /** Nothing more is read or written. */
  #end(failure: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#opened.reject(failure ?? closedHere());
    if (failure === undefined) this.#reader?.resolve(null);
    else this.#reader?.reject(failure);
    this.#reader = undefined;
    this.#look?.();
  }

  #checkOpen(): void {
    if (this.#ended || this.#socket.readyState !== 1) {
      throw this.#failure ?? closedHere();
    }
  }

  #isFull(): boolean {
    return !this.#ended && this.#socket.bufferedAmount > MAX_BUFFERED;
  }

  /** No event tells that a socket has sent something: one has to look. */
  async #drain(): Promise<void> {
    for (let delay = LOOK_AGAIN.min; this.#isFull();) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#look = resolve;
        timer = setTimeout(resolve, delay);
      });
      clearTimeout(timer);
      this.#look = undefined;
      delay = Math.min(2 * delay, LOOK_AGAIN.max);
    }
  }
}

/** The error for a WebSocket whose other end breaks the rules. */
export function webSocketBroken(how: string): MuxError {
  return new MuxError("protocol-error", `Cannot go on with WebSocket: ${how}`);
}

/** The error for a message of text. */
export function textRefused(): MuxError {
  return webSocketBroken("a message of text came where bytes belong");
}

/** The error for a write to what is closed. */
export function closedHere(): MuxError {
  return new MuxError("session-closed", "Cannot write: WebSocket is closed");
}
