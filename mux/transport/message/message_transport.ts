/**
 * Bytes over messages that objects can be sent in (mux/SPEC.md, "Over
 * messages"), whatever passes them.
 *
 * @module
 */
import { MuxError } from "../../errors.ts";
import type { Transport } from "../../types.ts";

/** Bytes of one message at most: what is one is copied or sent at once. */
export const MAX_MESSAGE = 1024 * 1024;
/** Bytes sent and not read yet beyond which a write waits. */
export const MAX_IN_FLIGHT = 1024 * 1024;
/** Bytes read that are told to the sender at once. */
const ACKNOWLEDGE = MAX_IN_FLIGHT / 4;
/** What a message counts beyond its bytes, so that small ones are bounded. */
const OVERHEAD = 256;

/** One way to send and to hear messages. */
export interface Wire {
  /** Sends a message. */
  post(message: Message, transfer?: Transferable[]): void;
  /** The events that come here, and which are the other end's. */
  source: EventTarget;
  /** Whether a message that came is the other end's. */
  isTheirs(event: MessageEvent<unknown>): boolean;
  /** Whether an `error` there is the other end's failure. */
  errors: boolean;
  /** Lets nothing more come. */
  close(): void;
}

/** What is sent. */
export type Message =
  | { qtalk: "hello"; from: string; to: string | undefined }
  | { qtalk: "bytes"; bytes: Uint8Array }
  | { qtalk: "taken"; size: number }
  | { qtalk: "end" }
  | { qtalk: "gone" };

/** Drives a wire as a transport. */
export class MessageTransport implements Transport {
  readonly #wire: Wire;
  readonly #listening = new AbortController();
  readonly #id = `${Math.random()}`;
  /** The other end, once it was heard of. */
  #other: string | undefined;
  readonly #met = Promise.withResolvers<void>();
  readonly #received: Uint8Array[] = [];
  /** Bytes in it, as they count; and those read of which nobody was told. */
  #unread = 0;
  #owed = 0;
  #reader: PromiseWithResolvers<Uint8Array | null> | undefined;
  #readEnd: { failure: unknown } | undefined;
  #inFlight = 0;
  #writer: PromiseWithResolvers<void> | undefined;
  #writeEnd: { failure: unknown } | undefined;

  constructor(wire: Wire) {
    this.#wire = wire;
    this.#met.promise.catch(() => {});
    const { signal } = this.#listening;
    const on = (type: string, listener: (event: Event) => void) =>
      wire.source.addEventListener(type, listener, { signal });
    on("message", (event) => this.#hear(event as MessageEvent<unknown>));
    on("messageerror", () => this.#fail(new Error("a message was unreadable")));
    // Not every runtime tells.
    on("close", () => this.#fail(new Error("the other end is gone")));
    if (wire.errors) {
      on("error", (event) => {
        const { message } = event as Partial<ErrorEvent>;
        this.#fail(new Error(`the worker failed: ${message ?? "unknown"}`));
      });
    }
    this.#hello();
  }

  read(): Promise<Uint8Array | null> {
    const bytes = this.#received.shift();
    if (bytes !== undefined) {
      this.#unread -= bytes.length + OVERHEAD;
      this.#taken(bytes);
      return Promise.resolve(bytes);
    }
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
    if (this.#other === undefined) await this.#met.promise;
    for (let at = 0; at < bytes.length; at += MAX_MESSAGE) {
      if (this.#writeEnd !== undefined) throw this.#writeEnd.failure;
      // Posting a view would copy all of its buffer.
      const message = bytes.slice(at, at + MAX_MESSAGE);
      this.#inFlight += message.length + OVERHEAD;
      this.#wire.post({ qtalk: "bytes", bytes: message }, [message.buffer]);
      if (this.#inFlight > MAX_IN_FLIGHT) {
        this.#writer = Promise.withResolvers();
        await this.#writer.promise;
      }
    }
  }

  async closeWrite(): Promise<void> {
    if (this.#other === undefined) await this.#met.promise;
    if (this.#writeEnd !== undefined) return;
    this.#endWriting(closedHere());
    this.#wire.post({ qtalk: "end" });
  }

  close(): void {
    if (this.#listening.signal.aborted) return;
    this.#wire.post({ qtalk: "gone" });
    this.#stop(undefined, closedHere());
  }

  #hello(): void {
    this.#wire.post({ qtalk: "hello", from: this.#id, to: this.#other });
  }

  #hear(event: MessageEvent<unknown>): void {
    const { data } = event;
    if (typeof data !== "object" || data === null || !("qtalk" in data)) return;
    if (!this.#wire.isTheirs(event)) return;
    const message = data as Partial<Message>;
    if (message.qtalk === "hello") return this.#meet(message);
    // What is left of an earlier end of the same port.
    if (this.#other === undefined) return;
    switch (message.qtalk) {
      case "bytes":
        return this.#arrive(message.bytes);
      case "taken":
        return this.#acknowledged(message.size);
      case "end":
        return this.#endReading(undefined);
      case "gone":
        return this.#stop(undefined, new Error("the other end is closed"));
    }
  }

  #meet({ from, to }: { from?: unknown; to?: unknown }): void {
    if (typeof from !== "string") return;
    if (this.#other === undefined) {
      this.#other = from;
      this.#met.resolve();
      // It may have begun after our first word.
      if (to !== this.#id) this.#hello();
    } else if (this.#other !== from) {
      this.#fail(new Error("the other end began anew"));
    }
  }

  #arrive(bytes: unknown): void {
    if (this.#readEnd !== undefined) return;
    if (!(bytes instanceof Uint8Array)) {
      return this.#fail(broken("a message has no bytes"));
    }
    if (this.#reader !== undefined) {
      this.#reader.resolve(bytes);
      this.#reader = undefined;
      return this.#taken(bytes);
    }
    this.#received.push(bytes);
    this.#unread += bytes.length + OVERHEAD;
    if (this.#unread > MAX_IN_FLIGHT + MAX_MESSAGE + OVERHEAD) {
      this.#fail(broken("the other end does not wait until it is read"));
    }
  }

  /** Tells the other end what was read, once it is enough to be worth it. */
  #taken(bytes: Uint8Array): void {
    this.#owed += bytes.length + OVERHEAD;
    if (this.#owed < ACKNOWLEDGE || this.#listening.signal.aborted) return;
    this.#wire.post({ qtalk: "taken", size: this.#owed });
    this.#owed = 0;
  }

  #acknowledged(size: unknown): void {
    if (typeof size !== "number" || !(size >= 0 && size <= this.#inFlight)) {
      return this.#fail(broken("more was read than was sent"));
    }
    this.#inFlight -= size;
    if (this.#inFlight > MAX_IN_FLIGHT) return;
    this.#writer?.resolve();
    this.#writer = undefined;
  }

  /** After an error of the other end's making, it is told to go. */
  #fail(failure: Error): void {
    if (this.#listening.signal.aborted) return;
    this.#wire.post({ qtalk: "gone" });
    this.#stop(failure, failure);
  }

  #stop(readFailure: Error | undefined, writeFailure: Error): void {
    this.#listening.abort();
    this.#endReading(readFailure);
    this.#endWriting(writeFailure);
    this.#met.reject(writeFailure);
    this.#wire.close();
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

function closedHere(): MuxError {
  return new MuxError("session-closed", "Cannot write: message port is closed");
}

function broken(how: string): MuxError {
  return new MuxError(
    "protocol-error",
    `Cannot go on with message port: ${how}`,
  );
}
