/**
 * Channels over a raw connection. They respect the server's credit and nothing
 * else.
 *
 * @module
 */
import {
  close,
  concat,
  data,
  eof,
  type Frame,
  GO_PACKET,
  GO_WINDOW,
  open,
} from "../support/wire.ts";
import type { Line } from "./line.ts";

/** Bytes of payload in one DATA frame. */
const PIECE = 64 * 1024;

/** Choices for {@linkcode RawSession.open}. */
export interface OpenOptions {
  /** What the server may send. Default: 1 GiB. */
  window?: number;
}

/** The channels of one raw connection. */
export class RawSession {
  readonly line: Line;
  readonly #opening = new Map<number, (channel?: RawChannel) => void>();
  readonly #channels = new Map<number, RawChannel>();
  #next = 0;

  /** Takes the connection over. */
  constructor(line: Line) {
    this.line = line;
    line.onFrame = (frame) => this.#take(frame);
    void line.ended.then(() => {
      for (const resolve of this.#opening.values()) resolve();
      for (const channel of this.#channels.values()) channel.end();
    });
  }

  /** Opens a channel; `undefined` if refused, or if the line has ended. */
  async open({ window = GO_WINDOW }: OpenOptions = {}): Promise<
    RawChannel | undefined
  > {
    const id = this.#next++;
    const { promise, resolve } = Promise.withResolvers<
      RawChannel | undefined
    >();
    this.#opening.set(id, resolve);
    if (!await this.line.write(open(id, window, GO_PACKET))) resolve(undefined);
    const channel = await promise;
    this.#opening.delete(id);
    return channel;
  }

  #take(frame: Frame): void {
    if (frame.type === "open-confirm") {
      const channel = new RawChannel(this.line, frame.sender, frame.window);
      this.#channels.set(frame.recipient, channel);
      this.#opening.get(frame.recipient)?.(channel);
    } else if (frame.type === "open-failure") {
      this.#opening.get(frame.recipient)?.();
    } else if (frame.type !== "open") {
      const channel = this.#channels.get(frame.recipient);
      channel?.take(frame);
      if (frame.type === "close") this.#channels.delete(frame.recipient);
    }
  }
}

/** One channel, open on both sides. */
export class RawChannel {
  readonly #line: Line;
  /** The channel ID to use in frames to the server. */
  readonly remote: number;
  #credit: number;
  #closed = false;
  #closeSent = false;
  readonly #received: Uint8Array[] = [];
  #wake: (() => void)[] = [];

  /** Made by {@linkcode RawSession.open}. */
  constructor(line: Line, remote: number, credit: number) {
    this.#line = line;
    this.remote = remote;
    this.#credit = credit;
  }

  /** Bytes that may be sent now. */
  get credit(): number {
    return this.#credit;
  }

  /** Whether the server has closed the channel, or the line has ended. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Received bytes that were not taken. */
  get received(): Uint8Array {
    return concat(...this.#received);
  }

  /** Takes the received bytes. */
  takeReceived(): Uint8Array {
    return concat(...this.#received.splice(0));
  }

  /** Sends bytes as credit permits; false if the channel closes first. */
  async send(bytes: Uint8Array, piece = PIECE): Promise<boolean> {
    for (let at = 0; at < bytes.length;) {
      while (this.#credit === 0 && !this.#closed) await this.changed();
      if (this.#closed) return false;
      const size = Math.min(piece, this.#credit, bytes.length - at);
      this.#credit -= size;
      const sent = await this.#line.write(
        data(this.remote, bytes.subarray(at, at + size)),
      );
      if (!sent) return false;
      at += size;
    }
    return true;
  }

  /** Subtracts credit for bytes written directly to the line. */
  spend(bytes: number): void {
    this.#credit -= bytes;
  }

  /** Resolves at the next frame for the channel, or when the line ends. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  /** Resolves when the server has closed the channel. */
  async untilClosed(): Promise<void> {
    while (!this.#closed) await this.changed();
  }

  /** Sends CLOSE, once. */
  async close(): Promise<void> {
    if (this.#closeSent) return;
    this.#closeSent = true;
    await this.#line.write(close(this.remote));
  }

  /** Sends EOF. */
  async eof(): Promise<void> {
    await this.#line.write(eof(this.remote));
  }

  /** Called when the line has ended. */
  end(): void {
    this.#closed = true;
    this.#wakeAll();
  }

  /** Called with every frame for the channel. */
  take(frame: Frame): void {
    if (frame.type === "window-adjust") this.#credit += frame.bytes;
    else if (frame.type === "data") this.#received.push(frame.payload.slice());
    else if (frame.type === "close") {
      this.#closed = true;
      void this.close();
    }
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
