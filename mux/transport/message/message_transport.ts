/**
 * Byte streams over structured-clone messages (mux/SPEC.md, "Over messages").
 *
 * @module
 */
import { checkObject, checkTime } from "../../../check_option.ts";
import { Queue } from "../../../queue.ts";
import { timeLimit } from "../../../time_limit.ts";
import { view } from "../../../view.ts";
import { MuxError } from "../../errors.ts";
import type { DividedTransport, GatheringTransport } from "../types.ts";

/** Bytes of one message at most. */
export const MAX_MESSAGE = 1024 * 1024;
/** Bytes sent but not read beyond which a write waits. */
export const MAX_IN_FLIGHT = 1024 * 1024;
/** Bytes read after which the sender is notified. */
const ACKNOWLEDGE = MAX_IN_FLIGHT / 4;
/** What a message counts beyond its bytes, to limit the number of small ones. */
const OVERHEAD = 256;
/**
 * Bytes of a message up to which it is a string, which has a character for each.
 * On Deno, such a message goes there and back in 32 µs, an object with the bytes in
 * 44, and one whose buffer is transferred in 65.
 */
const TEXT_SIZE = 256;
/** What these strings begin with, since a program may post strings of its own. */
const MARK = "\0qtalk";
/**
 * Bytes of a message up to which it is cloned. To transfer the buffer of a longer
 * one costs less.
 */
const CLONED_SIZE = 8 * 1024;

/** Bytes of small frames that leave before the end of their turn, if that can pay. */
const EARLY_WRITE = 4 * 1024;
/** The same if it cannot. */
const LATE_WRITE = 16 * 1024;

/** The default of {@linkcode MessageTransportOptions.greetingTimeout}. */
const DEFAULT_GREETING_TIMEOUT = 30_000;
/**
 * The event that a new transport dispatches where it is going to receive. One that
 * is open there cancels it. No list of ports in use is needed, and other copies of
 * this module in the program are found, too.
 */
const CLAIM = "qtalk-claim";

/** Options of a transport over messages. */
export interface MessageTransportOptions {
  /**
   * How long the other end may take to start, in milliseconds; then reading and
   * writing reject with a `MuxError` whose code is `timeout`. A number of at least
   * 0; `Infinity` is no limit. Default: 30,000.
   */
  greetingTimeout?: number | undefined;
}

/** Sends and receives messages. */
export interface MessageEndpoint {
  /** Sends a message. */
  post(message: Message | string, transfer?: Transferable[]): void;
  /** Dispatches the events of incoming messages. */
  source: EventTarget;
  /** Whether a message comes from the peer. */
  isFromPeer(event: MessageEvent<unknown>): boolean;
  /** What errors call it, such as "message port". */
  name: string;
  /** Whether all messages of the source are those of one peer. */
  isExclusive: boolean;
  /** Whether an `error` event means that the peer failed. */
  reportsErrors: boolean;
  /**
   * Calls a function when the program ends the port or the worker, or at once if
   * that is known to have happened. Returns what forgets the function.
   */
  onEnd(callback: (how: string) => void): () => void;
}

/** A message, as sent. Short ones with bytes are strings. */
export type Message =
  | { qtalk: "hello"; from: string; to: string | undefined; text: true }
  | { qtalk: "bytes"; bytes: Uint8Array }
  | { qtalk: "taken"; size: number }
  | { qtalk: "end" }
  | { qtalk: "gone" };

/** A transport over messages. */
export class MessageTransport implements DividedTransport, GatheringTransport {
  /**
   * A message costs more than a write to a socket. The other end is on this machine:
   * with one processor it cannot begin meanwhile, and 64 calls in flight are 1.02 to
   * 1.2 times as fast if their frames leave together (tests/bench/LOG.md).
   */
  readonly earlyWrite = globalThis.navigator?.hardwareConcurrency === 1
    ? LATE_WRITE
    : EARLY_WRITE;
  readonly #endpoint: MessageEndpoint;
  /**
   * What listens to which events; undefined once the transport has ended. A signal
   * would remove all of them, but on Node 22 and 24 it may remove only one of a
   * target's listeners (nodejs/node#63954).
   */
  #listeners: [type: string, listener: (event: Event) => void][] | undefined =
    [];
  readonly #id = `${Math.random()}`;
  /** The peer's ID, once it has greeted. */
  #peerId: string | undefined;
  readonly #met = Promise.withResolvers<void>();
  readonly #received = new Queue<Uint8Array>();
  /** Whether the peer takes strings: earlier versions ignore them. */
  #sendsText = false;
  /** What a short message is read into while a reader waits. */
  readonly #short = new Uint8Array(TEXT_SIZE);
  /** What the received messages count. */
  #unread = 0;
  /** What was read since the sender was last notified. */
  #unreported = 0;
  #reader: PromiseWithResolvers<Uint8Array | null> | undefined;
  #readEnd: { failure: unknown } | undefined;
  #inFlight = 0;
  #writer: PromiseWithResolvers<void> | undefined;
  #writeEnd: { failure: unknown } | undefined;
  readonly #cancelLimit: () => void;
  /** Forgets what is called when the port ends. */
  #forgetEnd: (() => void) | undefined;

  /**
   * Starts to receive messages, and greets the peer.
   *
   * @throws {RangeError} if an option is out of range
   * @throws {MuxError} `invalid-state` if there is another transport
   */
  constructor(
    endpoint: MessageEndpoint,
    options: MessageTransportOptions,
  ) {
    checkObject("options of transport", options);
    const { greetingTimeout = DEFAULT_GREETING_TIMEOUT } = options;
    checkTime("greetingTimeout", greetingTimeout);
    this.#endpoint = endpoint;
    if (endpoint.isExclusive) this.#claim();
    this.#met.promise.catch(() => {});
    const on = (type: string, listener: (event: Event) => void) => {
      endpoint.source.addEventListener(type, listener);
      this.#listeners!.push([type, listener]);
    };
    on("message", (event) => this.#receive(event as MessageEvent<unknown>));
    on(
      "messageerror",
      () => this.#fail(new Error("a message could not be deserialized")),
    );
    // Not every runtime dispatches this event.
    on("close", () => this.#fail(new Error("the port is closed")));
    if (endpoint.isExclusive) on(CLAIM, (event) => event.preventDefault());
    this.#cancelLimit = timeLimit(
      greetingTimeout,
      () =>
        this.#fail(
          new MuxError(
            "timeout",
            `Cannot connect over ${endpoint.name}: no peer has started at the other end within ${greetingTimeout} ms`,
          ),
        ),
    );
    if (endpoint.reportsErrors) {
      on("error", (event) => {
        const { message } = event as Partial<ErrorEvent>;
        this.#fail(new Error(`the worker failed: ${message ?? "unknown"}`));
      });
    }
    this.#forgetEnd = endpoint.onEnd((how) => {
      const isConnected = this.#peerId !== undefined;
      this.#fail(isConnected ? new Error(how) : noPeer(endpoint.name, how));
    });
    if (this.#listeners === undefined) this.#forgetEnd();
    else this.#greet();
  }

  // Deno dispatches at once all messages that have arrived. If each were a turn of its
  // own, a message would answer each, and there would never be fewer of them.
  more(): Uint8Array | undefined {
    const bytes = this.#received.shift();
    if (bytes === undefined) return undefined;
    this.#unread -= bytes.length + OVERHEAD;
    this.#taken(bytes);
    return bytes;
  }

  read(): Promise<Uint8Array | null> {
    const bytes = this.more();
    if (bytes !== undefined) return Promise.resolve(bytes);
    if (this.#readEnd !== undefined) {
      const { failure } = this.#readEnd;
      return failure === undefined
        ? Promise.resolve(null)
        : Promise.reject(failure);
    }
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#peerId === undefined) await this.#met.promise;
    for (let at = 0; at < bytes.length; at += MAX_MESSAGE) {
      if (this.#writeEnd !== undefined) throw this.#writeEnd.failure;
      const length = Math.min(bytes.length - at, MAX_MESSAGE);
      this.#inFlight += length + OVERHEAD;
      if (this.#sendsText && length <= TEXT_SIZE) {
        const part = length === bytes.length ? bytes : bytes.subarray(at);
        this.#endpoint.post(textOf(part));
      } else {
        // To post a view would copy its whole buffer.
        const message = bytes.slice(at, at + length);
        this.#endpoint.post(
          { qtalk: "bytes", bytes: message },
          length <= CLONED_SIZE ? undefined : [message.buffer],
        );
      }
      if (this.#inFlight > MAX_IN_FLIGHT) {
        this.#writer = Promise.withResolvers();
        await this.#writer.promise;
      }
    }
  }

  async closeWrite(): Promise<void> {
    if (this.#peerId === undefined) await this.#met.promise;
    if (this.#writeEnd !== undefined) return;
    this.#endWriting(portClosed());
    this.#endpoint.post({ qtalk: "end" });
  }

  close(): void {
    if (this.#listeners === undefined) return;
    this.#endpoint.post({ qtalk: "gone" });
    this.#stop(undefined, portClosed());
  }

  /** Checks that there is no other transport. */
  #claim(): void {
    const { source, name } = this.#endpoint;
    if (source.dispatchEvent(new Event(CLAIM, { cancelable: true }))) return;
    throw new MuxError(
      "invalid-state",
      `Cannot connect over ${name}: a session uses it already; close that first`,
    );
  }

  #greet(): void {
    const to = this.#peerId;
    this.#endpoint.post({ qtalk: "hello", from: this.#id, to, text: true });
  }

  #receive(event: MessageEvent<unknown>): void {
    const { data } = event;
    if (typeof data === "string") return this.#receiveText(data, event);
    if (typeof data !== "object" || data === null || !("qtalk" in data)) return;
    if (!this.#endpoint.isFromPeer(event)) return;
    const message = data as Partial<Message>;
    if (message.qtalk === "hello") return this.#meet(message);
    // Messages to an earlier transport on the same port.
    if (this.#peerId === undefined) return;
    switch (message.qtalk) {
      case "bytes":
        return this.#arrive(message.bytes);
      case "taken":
        return this.#onTaken(message.size);
      case "end":
        return this.#endReading(undefined);
      case "gone":
        return this.#stop(
          undefined,
          new Error("the peer closed the transport"),
        );
    }
  }

  #receiveText(text: string, event: MessageEvent<unknown>): void {
    if (!text.startsWith(MARK) || !this.#endpoint.isFromPeer(event)) return;
    // Listeners that the program adds later can take any string for its own.
    event.stopImmediatePropagation();
    if (this.#peerId === undefined) return;
    const length = text.length - MARK.length;
    const isLent = this.#reader !== undefined && length <= TEXT_SIZE;
    const bytes = isLent
      ? view(this.#short, 0, length)
      : new Uint8Array(length);
    let all = 0;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(MARK.length + i);
      all |= code;
      bytes[i] = code;
    }
    if (all > 0xff) {
      return this.#fail(
        violation("received a string with characters that are no bytes"),
      );
    }
    this.#arrive(bytes);
  }

  #meet(
    { from, to, text }: { from?: unknown; to?: unknown; text?: unknown },
  ): void {
    if (typeof from !== "string") return;
    if (this.#peerId === undefined) {
      // A peer that means an earlier transport has to learn that it is gone.
      if (to !== undefined && to !== this.#id) return this.#greet();
      this.#peerId = from;
      this.#sendsText = text === true;
      this.#cancelLimit();
      this.#met.resolve();
      // The peer may have started after this side's first greeting.
      if (to === undefined) this.#greet();
    } else if (this.#peerId !== from) {
      this.#fail(new Error("the peer started again"));
    }
  }

  #arrive(bytes: unknown): void {
    if (this.#readEnd !== undefined) return;
    if (!(bytes instanceof Uint8Array)) {
      return this.#fail(violation("received a message without bytes"));
    }
    // The peer could change them after they were checked.
    if (!(bytes.buffer instanceof ArrayBuffer)) {
      return this.#fail(violation("received bytes in shared memory"));
    }
    if (this.#reader !== undefined) {
      this.#reader.resolve(bytes);
      this.#reader = undefined;
      return this.#taken(bytes);
    }
    this.#received.push(bytes);
    this.#unread += bytes.length + OVERHEAD;
    if (this.#unread > MAX_IN_FLIGHT + MAX_MESSAGE + OVERHEAD) {
      this.#fail(
        violation(
          "received more bytes than the peer may send before they are read",
        ),
      );
    }
  }

  /** Notifies the sender of what was read, in batches. */
  #taken(bytes: Uint8Array): void {
    this.#unreported += bytes.length + OVERHEAD;
    if (this.#unreported < ACKNOWLEDGE || this.#listeners === undefined) {
      return;
    }
    this.#endpoint.post({ qtalk: "taken", size: this.#unreported });
    this.#unreported = 0;
  }

  #onTaken(size: unknown): void {
    if (typeof size !== "number" || !(size >= 0 && size <= this.#inFlight)) {
      return this.#fail(violation("the peer has read more than was sent"));
    }
    this.#inFlight -= size;
    if (this.#inFlight > MAX_IN_FLIGHT) return;
    this.#writer?.resolve();
    this.#writer = undefined;
  }

  /** Ends the transport for an error, and tells the peer that it is gone. */
  #fail(failure: Error): void {
    if (this.#listeners === undefined) return;
    this.#endpoint.post({ qtalk: "gone" });
    this.#stop(failure, failure);
  }

  #stop(readFailure: Error | undefined, writeFailure: Error): void {
    for (const [type, listener] of this.#listeners ?? []) {
      this.#endpoint.source.removeEventListener(type, listener);
    }
    this.#listeners = undefined;
    this.#cancelLimit();
    this.#forgetEnd?.();
    this.#endReading(readFailure);
    this.#endWriting(writeFailure);
    this.#met.reject(writeFailure);
  }

  #endReading(failure: unknown): void {
    if (this.#readEnd !== undefined) return;
    this.#readEnd = { failure };
    if (failure === undefined) this.#reader?.resolve(null);
    else this.#reader?.reject(failure);
    this.#reader = undefined;
  }

  #endWriting(failure: unknown): void {
    if (this.#writeEnd !== undefined) return;
    this.#writeEnd = { failure };
    this.#writer?.reject(failure);
    this.#writer = undefined;
  }
}

/** A message of a few bytes. */
function textOf(bytes: Uint8Array): string {
  return MARK + String.fromCharCode.apply(null, bytes as unknown as number[]);
}

function portClosed(): MuxError {
  return new MuxError(
    "session-closed",
    "Cannot write to message port: it is closed",
  );
}

/** The error for a port or a worker that ended before a peer was met. */
function noPeer(name: string, how: string): MuxError {
  return new MuxError(
    "connection-lost",
    `Cannot connect over ${name}: no peer is at the other end, because ${how}`,
  );
}

function violation(how: string): MuxError {
  return new MuxError(
    "protocol-error",
    `Cannot continue message port: ${how}`,
  );
}
