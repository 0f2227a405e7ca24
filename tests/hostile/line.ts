/**
 * A raw connection to the server under attack, for valid and invalid bytes.
 *
 * @module
 */
import { concat, type Frame, FrameCollector } from "../support/wire.ts";

/** The state of a connection. */
export type LineState = "open" | "ended by the server" | "reset by the server";

/** Choices for {@linkcode Line.connect}. */
export interface LineOptions {
  /** Whether to read from the connection. Default: true. */
  reading?: boolean;
  /** Receives what is read, in place of parsing frames. */
  onBytes?: (bytes: Uint8Array) => void;
}

/** A connection for raw bytes. */
export class Line {
  readonly #conn: Deno.Conn;
  readonly #reading: Promise<void>;
  #state: LineState = "open";
  #closed = false;
  #writing: Promise<boolean> = Promise.resolve(true);
  /** Bytes written so far. */
  sent = 0;
  /** Called with every frame from the server. */
  onFrame: (frame: Frame) => void = () => {};
  /** Resolves when the server has ended the connection, or it was closed. */
  readonly ended: Promise<void>;

  private constructor(conn: Deno.Conn, options: LineOptions) {
    const { reading = true, onBytes } = options;
    this.#conn = conn;
    this.#reading = reading ? this.#read(onBytes) : Promise.resolve();
    this.ended = this.#reading;
  }

  /** Connects to `tcp://HOST:PORT`, or the like. */
  static async connect(
    address: string,
    options: LineOptions = {},
  ): Promise<Line> {
    const { hostname, port } = new URL(address.replace(/^\w+:/, "http:"));
    const conn = await Deno.connect({ hostname, port: Number(port) });
    return new Line(conn, options);
  }

  /** Whether the server has ended it. */
  get state(): LineState {
    return this.#state;
  }

  /** Whether bytes can still be sent. */
  get open(): boolean {
    return this.#state === "open" && !this.#closed;
  }

  /** Writes bytes after earlier writes; false if the connection has ended. */
  write(...parts: Uint8Array[]): Promise<boolean> {
    const bytes = parts.length === 1 ? parts[0]! : concat(...parts);
    return this.#writing = this.#writing.then(() => this.#write(bytes));
  }

  async #write(bytes: Uint8Array): Promise<boolean> {
    if (!this.open) return false;
    try {
      for (let at = 0; at < bytes.length;) {
        const written = await this.#conn.write(bytes.subarray(at));
        at += written;
        this.sent += written;
      }
      return true;
    } catch {
      this.#fail();
      return false;
    }
  }

  /** Writes what `next` returns, as fast as possible, until the signal. */
  async flood(next: () => Uint8Array, signal: AbortSignal): Promise<void> {
    const over = aborted(signal);
    while (!signal.aborted && this.open) {
      // A server that stops reading must not prolong the flood.
      await Promise.race([this.write(next()), over]);
    }
  }

  /** Ends the writing side. */
  async end(): Promise<void> {
    await this.#conn.closeWrite().catch(() => this.#fail());
  }

  /** Closes the connection. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#conn.close();
    } catch {
      // It is closed already.
    }
    await this.#reading;
  }

  #fail(): void {
    if (this.open) this.#state = "reset by the server";
  }

  async #read(
    onBytes: ((bytes: Uint8Array) => void) | undefined,
  ): Promise<void> {
    const frames = new FrameCollector((frame) => this.onFrame(frame));
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const length = await this.#conn.read(buffer);
        if (length === null) break;
        const bytes = buffer.subarray(0, length);
        if (onBytes === undefined) frames.push(bytes);
        else onBytes(bytes);
      }
      if (this.open) this.#state = "ended by the server";
    } catch {
      this.#fail();
    }
  }
}

/** Waits for a turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}
