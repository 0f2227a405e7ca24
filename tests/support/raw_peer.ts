/**
 * The other end as a script: it says what it is told to, right or wrong, and
 * answers nothing by itself.
 *
 * @module
 */
import type { SessionOptions } from "../../mux/options.ts";
import { qmux } from "../../mux/session.ts";
import type { Session } from "../../mux/types.ts";
import { memoryTransports } from "../../mux/transport/memory.ts";
import type { Transport } from "../../mux/types.ts";
import { Peer, type PeerOptions } from "../../talk/peer.ts";
import { type Frame, FrameCollector } from "./wire.ts";

/** A frame of one type. */
export type FrameOf<T extends Frame["type"]> = Extract<Frame, { type: T }>;

/** A scripted end of a session. */
export class RawPeer {
  readonly #transport: Transport;
  readonly #frames: Frame[] = [];
  readonly #waiting: ((frame: Frame | null) => void)[] = [];
  #ended = false;
  #reading: Promise<void> | undefined;

  /** Takes over one end; reads from the start unless told not to. */
  constructor(transport: Transport, { reading = true } = {}) {
    this.#transport = transport;
    if (reading) this.read();
  }

  /** Starts to read what the other end sends. */
  read(): void {
    this.#reading ??= this.#read();
  }

  /**
   * Writes these bytes with one write. When it resolves, a session in the same
   * process has dealt with them; its buffer is spoilt then, as a transport's
   * own buffer would be.
   */
  async send(...parts: Uint8Array[]): Promise<void> {
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    await this.#transport.write(bytes);
    bytes.fill(0xee);
  }

  /** Writes these chunks, each with a write of its own. */
  async sendEach(chunks: Iterable<Uint8Array>): Promise<void> {
    for (const chunk of chunks) await this.send(chunk);
  }

  /** Frames that came and were not asked for yet. */
  get pending(): readonly Frame[] {
    return this.#frames;
  }

  /** Takes the frames that came and were not asked for yet. */
  takePending(): Frame[] {
    return this.#frames.splice(0);
  }

  /** The next frame; `null` at the end. */
  next(): Promise<Frame | null> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    if (this.#ended) return Promise.resolve(null);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The next frame, which must be of this type; credit may come before it. */
  async expect<T extends Frame["type"]>(type: T): Promise<FrameOf<T>> {
    for (;;) {
      const frame = await this.next();
      if (frame?.type === type) return frame as FrameOf<T>;
      if (frame?.type === "window-adjust") continue;
      throw new Error(
        `Expected ${type}, got ${frame === null ? "the end" : describe(frame)}`,
      );
    }
  }

  /** The next frame of this type; others are passed over. */
  async find<T extends Frame["type"]>(type: T): Promise<FrameOf<T>> {
    for (;;) {
      const frame = await this.next();
      if (frame?.type === type) return frame as FrameOf<T>;
      if (frame === null) throw new Error(`Expected ${type}, got the end`);
    }
  }

  /** All frames up to the end. */
  async rest(): Promise<Frame[]> {
    await this.#reading;
    return this.#frames.splice(0);
  }

  /** Ends the writing side. */
  async end(): Promise<void> {
    await this.#transport.closeWrite();
  }

  /** Goes away. */
  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #read(): Promise<void> {
    const collector = new FrameCollector((frame) => {
      const waiting = this.#waiting.shift();
      if (waiting !== undefined) waiting(frame);
      else this.#frames.push(frame);
    });
    try {
      for (;;) {
        const chunk = await this.#transport.read();
        if (chunk === null) break;
        collector.push(chunk);
      }
    } catch {
      // The connection is gone: as good an end as any to a script.
    }
    this.#ended = true;
    for (const waiting of this.#waiting.splice(0)) waiting(null);
  }
}

function describe(frame: Frame): string {
  return JSON.stringify(
    frame,
    (_, value) => value instanceof Uint8Array ? `${value.length} bytes` : value,
  );
}

/**
 * A session and a scripted end of it. The session's end of the byte stream may
 * be replaced by one that `watch` makes of it.
 */
export function scriptedSession(
  options: SessionOptions = {},
  { watch = (transport) => transport, ...raw }: {
    reading?: boolean;
    watch?: (transport: Transport) => Transport;
  } = {},
): { session: Session; raw: RawPeer } {
  const [left, right] = memoryTransports();
  return {
    session: qmux(watch(left), options),
    raw: new RawPeer(right, raw),
  };
}

/** A peer and a scripted end of its session. */
export function rawPeer(
  options: PeerOptions & { session?: SessionOptions } = {},
  raw: { reading?: boolean } = {},
): { peer: Peer; raw: RawPeer } {
  const { session, raw: scripted } = scriptedSession(options.session, raw);
  return { peer: new Peer(session, options), raw: scripted };
}
