/**
 * Transports over WebSockets: binary messages, whose boundaries have no meaning.
 *
 * @module
 */
import { checkMethods } from "../../../check_option.ts";
import { printableText } from "../../../printable_text.ts";
import { Queue } from "../../../queue.ts";
import { loadedInTime, settlesWithin } from "../../../time_limit.ts";
import { connectionLost, DESCRIPTION_TIMEOUT, MuxError } from "../../errors.ts";
import type { Transport } from "../../types.ts";
import type { AbortableTransport, KeptTransport } from "../types.ts";

/** Bytes of one message at most: some receivers refuse more than 1 MiB. */
export const MAX_MESSAGE = 1024 * 1024;
/**
 * Bytes passed to a socket but not sent beyond which a write waits; the socket
 * itself has no limit.
 */
export const MAX_BUFFERED = 1024 * 1024;
/** Milliseconds between checks of what is not sent yet, at first and at most. */
const CHECK_INTERVAL = { min: 1, max: 16 };
/** Milliseconds for the peer to answer CLOSE. */
export const CLOSE_TIMEOUT = 1_000;

/** Status codes of CLOSE. */
export const CloseCode = {
  /** A clean end. */
  NORMAL: 1000,
  /** The peer violated the protocol. */
  PROTOCOL_ERROR: 1002,
  /** The same, where a program may not use reserved codes. */
  PRIVATE_PROTOCOL_ERROR: 4002,
} as const;

/**
 * Status codes of a clean end: normal closure, going away, no status code, service
 * restart, try again later.
 */
const CLEAN_CODES = [1000, 1001, 1005, 1012, 1013];

/**
 * Status codes of servers to which it is no use to connect again in the same way:
 * protocol error, unsupported data, invalid data, policy violation, missing
 * extension, and IANA's "unauthorized" and "forbidden".
 */
const LASTING_CODES = [1002, 1003, 1007, 1008, 1010, 3000, 3003];

/** The error for a WebSocket closed with `code`; undefined for a clean end. */
export function closingError(code: number, reason: string): Error | undefined {
  if (CLEAN_CODES.includes(code)) return undefined;
  if (code === 0 || code === 1006) return connectionBroken(reason);
  return Object.assign(
    new Error(
      `the peer closed the WebSocket: ${code} ${printableText(reason)}`.trim(),
    ),
    { permanent: LASTING_CODES.includes(code) },
  );
}

/** The error for a WebSocket whose connection ended without CLOSE. */
export function connectionBroken(why: string): Error {
  return new Error(
    `the WebSocket ended without CLOSE${why && `: ${why}`}`,
  );
}

/** What Deno says of a client of its server that answers no PING in time. */
const NO_PONG = "No response from ping frame.";

/** The error for a WebSocket that has ended, after an error event. */
function errorOf(message: string): Error {
  const error = connectionBroken(message);
  return message === NO_PONG
    ? connectionLost(
      `${error.message} (no byte arrived within the time of option "idleTimeout")`,
    )
    : error;
}

/** What this module uses of a `WebSocket`, for other implementations of it. */
export interface WebSocketLike extends EventTarget {
  /** Set to `"arraybuffer"`. */
  binaryType: string;
  /** 0 while connecting, 1 while open. */
  readonly readyState: number;
  /** Bytes passed to {@linkcode send} that are not sent yet. */
  readonly bufferedAmount: number;
  /** Sends a message; `data` may change once it returns. */
  send(data: Uint8Array<ArrayBuffer>): void;
  /** Sends CLOSE. */
  close(code?: number, reason?: string): void;
}

/**
 * Makes a transport of a `WebSocket`, which it owns. The socket may be connecting
 * or open, but must not have received a message yet.
 *
 * WebSocket has no half-close: `closeWrite()` starts to close both directions,
 * and what arrives meanwhile may be lost. A WebSocket also has no flow control
 * for received messages; the windows of a session limit them. Without a session,
 * read fast enough.
 *
 * In Deno, prefer `dial("ws://…")`, which has a client of its own: Deno's
 * `WebSocket` delays messages of more than 1,024 bytes by 44 ms.
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
 * @param socket a WebSocket that is not closing
 * @throws {TypeError} if it is not a WebSocket
 */
export function webSocketTransport(socket: WebSocketLike): Transport {
  const used = ["addEventListener", "close", "send"];
  checkMethods("socket", socket, "a WebSocket", ...used);
  return new WebSocketTransport(socket);
}

/** What {@linkcode webSocketTransport} makes of a socket that it has checked. */
export class WebSocketTransport implements AbortableTransport, KeptTransport {
  // Programs cannot send a PING, and do not see what the runtime does with one.
  readonly keepAlive = { signs: 0 };
  readonly #socket: WebSocketLike;
  /** Messages that have arrived and were not read. */
  readonly #received = new Queue<Uint8Array>();
  #reader: PromiseWithResolvers<Uint8Array | null> | undefined;
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  /** Whether nothing more is read or written; `#failure` if not a clean end. */
  #ended = false;
  #failure: unknown;
  /** Whether a text message has arrived whose error is being made, and ends it. */
  #refuses = false;
  /** Makes a pending write check whether it can continue. */
  #check: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(socket: WebSocketLike) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    this.#opened.promise.catch(() => {});
    if (socket.readyState === 1) this.#opened.resolve();
    socket.addEventListener("open", () => {
      this.#opened.resolve();
      // A server's socket that was closed before opens all the same, in Deno.
      if (this.#closing !== undefined) socket.close(CloseCode.NORMAL);
    });
    socket.addEventListener("message", (event) => {
      this.#message((event as MessageEvent<unknown>).data);
    });
    let errorMessage: string | undefined;
    socket.addEventListener("error", (event) => {
      errorMessage = (event as Partial<ErrorEvent>).message ?? "";
      // For a failed connection attempt, Node dispatches no other event.
      if (socket.readyState !== 0) return;
      this.#end(connectionBroken(errorMessage));
      this.#closed.resolve();
    });
    socket.addEventListener("close", (event) => {
      const { code, reason } = event as CloseEvent;
      // Deno uses a clean end's code for a client that is silent for too long.
      this.#end(
        errorMessage === undefined
          ? closingError(code, reason)
          : errorOf(errorMessage),
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
      // The bytes are never in a SharedArrayBuffer.
      this.#socket.send(message as Uint8Array<ArrayBuffer>);
      if (this.#isFull()) await this.#drain();
    }
  }

  async closeWrite(): Promise<void> {
    // To close a socket that is connecting would be a failure.
    if (this.#socket.readyState === 0) {
      await this.#opened.promise.catch(() => {});
    }
    if (!this.#ended) this.#socket.close(CloseCode.NORMAL);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** A program has no means to end the connection of a `WebSocket`. */
  abort(): void {
    void this.close();
    this.#closed.resolve();
  }

  async #close(): Promise<void> {
    this.#socket.close(
      this.#failure === undefined
        ? CloseCode.NORMAL
        : CloseCode.PRIVATE_PROTOCOL_ERROR,
    );
    this.#end(undefined);
    await settlesWithin(CLOSE_TIMEOUT, this.#closed.promise);
  }

  #message(data: unknown): void {
    if (this.#ended || this.#refuses) return;
    if (!(data instanceof ArrayBuffer)) {
      this.#refuses = true;
      return void this.#refuseText(String(data));
    }
    const bytes = new Uint8Array(data);
    if (this.#reader === undefined) this.#received.push(bytes);
    else {
      this.#reader.resolve(bytes);
      this.#reader = undefined;
    }
    // The peer is active, so it may have received something too.
    this.#check?.();
  }

  async #refuseText(text: string): Promise<void> {
    let description: string | undefined;
    try {
      // Loaded on first use: few peers send text.
      const loading = import("../../foreign_peer.ts");
      const { describeText } = await loadedInTime(loading, DESCRIPTION_TIMEOUT);
      description = describeText(text);
    } catch {
      // It cannot be loaded, and the error says less.
    }
    this.#refuses = false;
    this.#end(textReceived(description));
  }

  /** Ends reading and writing. */
  #end(failure: Error | undefined): void {
    if (this.#ended || this.#refuses) return;
    this.#ended = true;
    this.#failure = failure;
    this.#opened.reject(failure ?? webSocketClosed());
    if (failure === undefined) this.#reader?.resolve(null);
    else this.#reader?.reject(failure);
    this.#reader = undefined;
    this.#check?.();
  }

  #checkOpen(): void {
    if (this.#ended || this.#socket.readyState !== 1) {
      throw this.#failure ?? webSocketClosed();
    }
  }

  #isFull(): boolean {
    return !this.#ended && this.#socket.bufferedAmount > MAX_BUFFERED;
  }

  /** Waits for the socket to send; no event reports that, so it polls. */
  async #drain(): Promise<void> {
    for (let delay = CHECK_INTERVAL.min; this.#isFull();) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#check = resolve;
        timer = setTimeout(resolve, delay);
      });
      clearTimeout(timer);
      this.#check = undefined;
      delay = Math.min(2 * delay, CHECK_INTERVAL.max);
    }
  }
}

/** The error for a violation of the WebSocket protocol. */
export function webSocketViolation(how: string): MuxError {
  return new MuxError("protocol-error", `Cannot continue WebSocket: ${how}`);
}

/**
 * The error for a text message.
 *
 * @param description what it looks like, if that is known
 */
export function textReceived(description = ""): MuxError {
  return webSocketViolation(
    `received a text message, where all are binary${
      description && `: ${description}`
    }`,
  );
}

/** The error for a write to a closed WebSocket. */
export function webSocketClosed(): MuxError {
  return new MuxError(
    "session-closed",
    "Cannot write to WebSocket: it is closed",
  );
}
