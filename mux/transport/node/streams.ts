/**
 * Transports over the streams of Node, which Bun has as well, driven by their
 * events: `Readable.toWeb()` and `Writable.toWeb()` cost more, and lose the end of
 * sockets that close in one direction only.
 *
 * @module
 */
import { Queue } from "../../../queue.ts";
import { nextTurn } from "../../flow/turns.ts";
import type { AbortableTransport, KeptTransport } from "../types.ts";

/** What this module uses of a `stream.Readable`. */
export interface NodeReadable {
  /** Listens to an event. */
  on(event: string, listener: (...args: never[]) => void): unknown;
  /** Stops `data` events. */
  pause(): unknown;
  /** Starts them. */
  resume(): unknown;
  /** Closes it. */
  destroy(): unknown;
  /** Whether it has told of its end. */
  readonly readableEnded?: boolean;
}

/** What this module uses of a `stream.Writable`. */
export interface NodeWritable {
  /** Listens to an event. */
  on(event: string, listener: (...args: never[]) => void): unknown;
  /** Bytes that wait to be written. */
  readonly writableLength: number;
  /** Writes bytes; calls back when the system has them. */
  write(bytes: Uint8Array, done: (error?: unknown) => void): boolean;
  /** Ends it after what was written. */
  end(done: (error?: unknown) => void): unknown;
  /** Closes it. */
  destroy(): unknown;
}

/** What a {@linkcode NodeTransport} cannot know of its streams. */
export interface NodeTransportOptions {
  /** What the error says about a peer that sends text in place of frames. */
  advice?: string;
  /** Lets the system probe an idle connection. */
  startKeepAlive?: () => void;
  /** What stops and starts the `data` events. Default: the stream that is read. */
  flow?: Pick<NodeReadable, "pause" | "resume">;
  /** When the system has what the stream says is written. Default: at once. */
  flushed?: () => Promise<void> | undefined;
  /** Ends the writing. Default: by `end()`. */
  closeWrite?: () => Promise<void>;
  /** Why the end of reading is none, if it is none. */
  endFailure?: () => unknown;
  /** The error for one of the streams. Default: with the name that Deno gives it. */
  failureOf?: (error: unknown) => unknown;
  /** Ends and closes streams on which no write is under way. Default: at once. */
  closeGently?: () => Promise<void>;
  /** As in `GatheringTransport`. Default: what sessions do by default. */
  earlyWrite?: number;
  /** The error in the first bytes, if they tell of one. */
  refusalIn?: (bytes: Uint8Array) => unknown;
}

/** Bytes that are taken from a stream and were not read, until it is paused. */
const MAX_HELD = 256 * 1024;
/** Bytes of one write, so that a slow peer shows signs of life. */
const MAX_WRITE = 256 * 1024;
/** Bytes written without a break; deno/conn.ts says why. */
const WRITE_SLICE = 4 * 1024 * 1024;
/** What a write counts towards {@linkcode WRITE_SLICE} beyond its bytes. */
const WRITE_COST = 32 * 1024;

/** Names that Deno gives to errors of the system. */
const NAMES: Readonly<Record<string, string>> = Object.freeze({
  EACCES: "PermissionDenied",
  EADDRINUSE: "AddrInUse",
  EADDRNOTAVAIL: "AddrNotAvailable",
  EAGAIN: "WouldBlock",
  ECONNABORTED: "ConnectionAborted",
  ECONNREFUSED: "ConnectionRefused",
  ECONNRESET: "ConnectionReset",
  EHOSTUNREACH: "HostUnreachable",
  EINVAL: "InvalidInput",
  ENETUNREACH: "NetworkUnreachable",
  ENOENT: "NotFound",
  ENOTCONN: "NotConnected",
  EPERM: "PermissionDenied",
  EPIPE: "BrokenPipe",
  ETIMEDOUT: "TimedOut",
});

/** An error of Node as an error whose name is that of Deno's. */
export function systemError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const { code, errors } = error as { code?: string; errors?: unknown[] };
  const name = NAMES[code ?? ""];
  // One attempt for each address of a host makes an error without a message.
  const message = error.message ||
    (errors ?? []).map((one) => (one as Error).message).join(", ");
  if (name === undefined && message === error.message) return error;
  return Object.assign(new Error(message, { cause: error }), {
    name: name ?? error.name,
    code,
  });
}

/** A transport over one or two streams of Node, which it owns. */
export class NodeTransport implements AbortableTransport, KeptTransport {
  readonly advice?: string;
  readonly earlyWrite: number | undefined;
  readonly keepAlive: { signs: number; start(): boolean };
  readonly #input: NodeReadable;
  readonly #flow: Pick<NodeReadable, "pause" | "resume">;
  readonly #output: NodeWritable;
  readonly #options: NodeTransportOptions;
  /** What has arrived and was not read. */
  readonly #chunks = new Queue<Uint8Array>();
  #held = 0;
  #paused = true;
  #reading: PromiseWithResolvers<Uint8Array | null> | undefined;
  #writing: PromiseWithResolvers<void> | undefined;
  /** How reading ends after these chunks, once that is known. */
  #end: { failure?: unknown } | undefined;
  #sinceBreak = 0;
  #closed = false;
  #closing: Promise<void> | undefined;
  /** Whether nothing can be written, and Node no longer calls back. */
  #outputClosed = false;
  #ending: PromiseWithResolvers<void> | undefined;
  /** Whether bytes have arrived. */
  #begun = false;

  /** Takes over the streams, which may be one and the same. */
  constructor(
    input: NodeReadable,
    output: NodeWritable,
    options: NodeTransportOptions = {},
  ) {
    this.#input = input;
    this.#flow = options.flow ?? input;
    this.#output = output;
    this.#options = options;
    if (options.advice !== undefined) this.advice = options.advice;
    this.earlyWrite = options.earlyWrite;
    this.keepAlive = {
      signs: 0,
      start: () => {
        if (!this.#closed) options.startKeepAlive?.();
        return true;
      },
    };
    this.#flow.pause();
    input.on("data", (chunk: Uint8Array) => this.#take(chunk));
    const onEnd = () => {
      const failure = options.endFailure?.();
      this.#finish(failure === undefined ? {} : { failure });
    };
    input.on("end", onEnd);
    // TLS of Bun can end in the turn in which its handshake does.
    if (input.readableEnded) onEnd();
    input.on("error", (error: unknown) => {
      const failure = (options.failureOf ?? systemError)(error);
      this.#finish({ failure });
    });
    input.on("close", () => this.#finish({ failure: connectionClosed() }));
    // Without a listener, an error of a stream ends the process.
    output.on("error", () => {});
    output.on("close", () => {
      this.#outputClosed = true;
      const failure = this.#end?.failure ?? connectionClosed();
      this.#writing?.reject(failure);
      this.#ending?.reject(failure);
    });
  }

  read(): Promise<Uint8Array | null> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#held -= chunk.length;
      return Promise.resolve(chunk);
    }
    if (this.#closed) return Promise.resolve(null);
    if (this.#end !== undefined) {
      return "failure" in this.#end
        ? Promise.reject(this.#end.failure)
        : Promise.resolve(null);
    }
    this.#reading = Promise.withResolvers();
    const { promise } = this.#reading;
    if (this.#paused) {
      this.#paused = false;
      this.#flow.resume();
    }
    return promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at === 0 || at < bytes.length; at += MAX_WRITE) {
      const part = bytes.length > MAX_WRITE
        ? bytes.subarray(at, at + MAX_WRITE)
        : bytes;
      await this.#write(part, at + MAX_WRITE < bytes.length);
    }
    // As with Deno's connections, a stream whose writes are done at once would keep
    // other sockets waiting.
    this.#sinceBreak += WRITE_COST + bytes.length;
    if (this.#sinceBreak > WRITE_SLICE) {
      await nextTurn();
      this.#sinceBreak = 0;
    }
  }

  closeWrite(): Promise<void> {
    if (this.#options.closeWrite !== undefined) {
      return this.#options.closeWrite();
    }
    const failed = this.#end !== undefined && "failure" in this.#end;
    if (this.#closed || this.#outputClosed || failed) {
      return Promise.reject(this.#end?.failure ?? connectionClosed());
    }
    const ending = this.#ending = Promise.withResolvers<void>();
    this.#output.end((error) =>
      error ? ending.reject(systemError(error)) : ending.resolve()
    );
    return ending.promise;
  }

  close(): Promise<void> | void {
    if (this.#closed) return this.#closing;
    this.#closed = true;
    this.#chunks.clear();
    this.#reading?.resolve(null);
    this.#reading = undefined;
    const { closeGently } = this.#options;
    const failed = this.#end !== undefined && "failure" in this.#end;
    if (closeGently !== undefined && !failed && this.#writing === undefined) {
      return this.#closing = closeGently();
    }
    this.abort();
  }

  /** Closes it at once, also during {@linkcode close}. */
  abort(): void {
    this.#closed = true;
    this.#writing?.reject(connectionClosed());
    // Bun would go on with a read of stdin that has just begun, and the process
    // with it.
    this.#input.pause();
    this.#input.destroy();
    if (this.#output as unknown !== this.#input) this.#output.destroy();
  }

  /** Writes bytes, which may be followed by the rest of the same write. */
  #write(bytes: Uint8Array, hasRest: boolean): Promise<void> {
    const writing = this.#writing = Promise.withResolvers<void>();
    if (this.#closed) {
      writing.reject(connectionClosed());
      return writing.promise;
    }
    let waited = false;
    const onWritten = () => {
      this.#writing = undefined;
      // There was no room, and the other end has made some. Of a write that fits,
      // this cannot be said: TLS passes all of them on in a later turn.
      if (waited) this.keepAlive.signs++;
      writing.resolve();
    };
    this.#output.write(bytes, (error) => {
      if (error) {
        this.#writing = undefined;
        return writing.reject(systemError(error));
      }
      const flushed = this.#options.flushed?.();
      if (flushed === undefined) onWritten();
      else void flushed.then(onWritten);
    });
    waited = hasRest && this.#output.writableLength > 0;
    return writing.promise;
  }

  #take(chunk: Uint8Array): void {
    if (this.#closed) return;
    this.#sinceBreak = 0;
    // A `Buffer` is not what the rest expects: its slice() does not copy.
    const bytes = new Uint8Array(
      chunk.buffer as ArrayBuffer,
      chunk.byteOffset,
      chunk.byteLength,
    );
    if (!this.#begun) {
      this.#begun = true;
      const failure = this.#options.refusalIn?.(bytes);
      if (failure !== undefined) return this.#finish({ failure });
    }
    if (this.#reading !== undefined) {
      this.#reading.resolve(bytes);
      this.#reading = undefined;
      return;
    }
    this.#chunks.push(bytes);
    this.#held += bytes.length;
    if (this.#held >= MAX_HELD && !this.#paused) {
      this.#paused = true;
      this.#flow.pause();
    }
  }

  #finish(end: { failure?: unknown }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    if ("failure" in end) this.#reading?.reject(end.failure);
    else this.#reading?.resolve(null);
    this.#reading = undefined;
  }
}

/** The error of a connection that is closed. */
function connectionClosed(): Error {
  return Object.assign(new Error("the connection is closed"), {
    name: "BadResource",
  });
}
