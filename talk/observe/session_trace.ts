import type { Codec } from "../../codec/internal.ts";
import { FrameDecoder, type FrameSink } from "../../mux/internal.ts";
import { CaptureBudget } from "./capture.ts";
import {
  ChannelTrace,
  type EventBody,
  type TraceContext,
} from "./channel_trace.ts";
import {
  type End,
  type FrameName,
  type ObservedEvent,
  type OnEvent,
  otherEnd,
} from "./events.ts";

/** Bytes of a payload that the event of a frame has. */
const HEAD_SIZE = 32;
/** Channels that both ends have closed and whose late frames are recognized. */
const MAX_CLOSED = 256;
/** Channels of a session that are followed at the same time. */
const MAX_CHANNELS = 65_536;
/**
 * Milliseconds for which a header waits for the value that follows it: the reference
 * sends them one after the other.
 */
export const FLUSH_AFTER = 50;
/** Frames that a decoder may decode before it has to be asked again. */
const ALLOWANCE = 2 ** 30 - 1;
const EMPTY = new Uint8Array(0);

/** What the traces of one observer share. */
export interface TraceOptions {
  /** The codecs that calls may be in, unless a session has others. */
  readonly codecs: readonly Codec[];
  /** What is called with the events. */
  readonly onEvent: OnEvent;
  /** The clock. */
  readonly now: () => number;
}

/** The numbers and the memory of all sessions of an observer. */
export class Tracer {
  readonly options: TraceOptions;
  readonly budget: CaptureBudget = new CaptureBudget();
  #sessions = 0;
  #channels = 0;

  /** Makes a tracer without sessions. */
  constructor(options: TraceOptions) {
    this.options = options;
  }

  /** Begins a session. */
  session(
    address: string,
    codecs: readonly Codec[] = this.options.codecs,
  ): SessionTrace {
    return new SessionTrace(this, ++this.#sessions, address, codecs);
  }

  /** The number of the next channel. */
  nextChannel(): number {
    return ++this.#channels;
  }
}

/**
 * Reads the bytes of both directions of a session, and reports the frames, the
 * channels and the calls that it finds in them. It never fails: what cannot be read
 * is reported, and the rest of that direction is passed over.
 */
export class SessionTrace implements TraceContext {
  readonly budget: CaptureBudget;
  readonly codecs: readonly Codec[];
  readonly #tracer: Tracer;
  /** Its number among the sessions of its tracer, from 1. */
  readonly number: number;
  readonly #address: string;
  readonly #decoders: Record<End, FrameDecoder>;
  readonly #unreadable: Record<End, boolean> = { near: false, far: false };
  readonly #ended: Record<End, boolean> = { near: false, far: false };
  /** Channels by the ID that each end gave them. */
  readonly #ids: Record<End, Map<number, ChannelTrace>> = {
    near: new Map(),
    far: new Map(),
  };
  /** Those that have not ended, in the order of their requests. */
  readonly #open = new Set<ChannelTrace>();
  /** Those that have, the oldest first. */
  readonly #closed: ChannelTrace[] = [];
  readonly #toFlush = new Set<ChannelTrace>();
  #over = false;
  /** Called when no channel is open any more. */
  onIdle: (() => void) | undefined;

  /** Begins a session; {@linkcode Tracer.session} numbers it. */
  constructor(
    tracer: Tracer,
    session: number,
    address: string,
    codecs: readonly Codec[],
  ) {
    this.#tracer = tracer;
    this.budget = tracer.budget;
    this.codecs = codecs;
    this.number = session;
    this.#address = address;
    this.#decoders = {
      near: new FrameDecoder(this.#sink("near")),
      far: new FrameDecoder(this.#sink("far")),
    };
    this.emit({ type: "session", state: "opened", address });
  }

  /** Channels that not both ends have closed. */
  get openChannels(): number {
    return this.#open.size;
  }

  now(): number {
    return this.#tracer.options.now();
  }

  emit(body: EventBody): void {
    const event = { time: this.now(), session: this.number, ...body };
    this.#tracer.options.onEvent(event as ObservedEvent);
  }

  flushLater(channel: ChannelTrace): void {
    this.#toFlush.delete(channel);
    this.#toFlush.add(channel);
  }

  flushed(channel: ChannelTrace): void {
    this.#toFlush.delete(channel);
  }

  /** Reads a chunk that an end has sent. */
  push(by: End, chunk: Uint8Array): void {
    if (this.#unreadable[by] || this.#over) return;
    const decoder = this.#decoders[by];
    decoder.allowance = ALLOWANCE;
    try {
      decoder.push(chunk);
    } catch (error) {
      this.#unreadable[by] = true;
      this.emit({ type: "direction", state: "malformed", by, error });
    }
    if (this.#toFlush.size > 0) this.flush(FLUSH_AFTER);
  }

  /** Whether there are headers whose first value has not arrived. */
  get hasHeaders(): boolean {
    return this.#toFlush.size > 0;
  }

  /** Reports headers whose first value has not arrived for so many milliseconds. */
  flush(age: number): void {
    const before = this.now() - age;
    for (const channel of this.#toFlush) {
      // They are in the order of their headers.
      if (channel.headerTime > before) break;
      this.#toFlush.delete(channel);
      channel.flush();
    }
  }

  /** An end has ended its direction, or reading from it has failed. */
  end(by: End, error?: unknown): void {
    if (this.#ended[by] || this.#over) return;
    this.#ended[by] = true;
    const state = error === undefined ? "ended" : "failed";
    this.emit({ type: "direction", state, by, error });
  }

  /** The session has ended. */
  close(error?: unknown): void {
    if (this.#over) return;
    for (const channel of this.#open) channel.lose();
    this.#over = true;
    this.#open.clear();
    this.#ids.near.clear();
    this.#ids.far.clear();
    const address = this.#address;
    this.emit({ type: "session", state: "closed", address, error });
  }

  #sink(by: End): FrameSink {
    const other = otherEnd(by);
    /** The channel of the current DATA frame. */
    let current: ChannelTrace | undefined;
    /** The DATA frame whose payload has not begun. */
    let announced: { id: number; size: number } | undefined;
    const at = (id: number) => this.#ids[other].get(id);
    const frame = (
      name: FrameName,
      id: number,
      channel: ChannelTrace | undefined,
      rest: object = {},
    ) => this.emit({ type: "frame", name, by, id, channel, ...rest });
    return {
      onOpen: (id, window, maxPacketSize) => {
        const channel = this.#channel(by, id);
        if (channel !== undefined) channel.window[other] = window;
        frame("OPEN", id, channel, { window, maxPacketSize });
      },
      onOpenConfirm: (id, senderId, window, maxPacketSize) => {
        const channel = at(id);
        frame("OPEN_CONFIRM", id, channel, { senderId, window, maxPacketSize });
        if (channel === undefined) return;
        channel.ids[by] = senderId;
        this.#ids[by].set(senderId, channel);
        channel.window[other] = window;
        channel.answered("opened");
      },
      onOpenFailure: (id) => {
        const channel = at(id);
        frame("OPEN_FAILURE", id, channel);
        if (channel === undefined) return;
        channel.answered("refused");
        this.#retire(channel);
      },
      onWindowAdjust: (id, window) => {
        const channel = at(id);
        if (channel !== undefined) channel.window[other] += window;
        frame("WINDOW_ADJUST", id, channel, { window });
      },
      onData: (id, size) => {
        current = at(id);
        if (current !== undefined) current.window[by] -= size;
        if (size > 0) announced = { id, size };
        else frame("DATA", id, current, { size, head: EMPTY });
      },
      onPayload: (chunk, from, to) => {
        const piece = chunk.subarray(from, to);
        if (announced !== undefined) {
          const { id, size } = announced;
          announced = undefined;
          frame("DATA", id, current, { size, head: piece.slice(0, HEAD_SIZE) });
        }
        current?.take(by, piece);
      },
      onEof: (id) => {
        const channel = at(id);
        frame("EOF", id, channel);
        channel?.end(by);
      },
      onClose: (id) => {
        const channel = at(id);
        frame("CLOSE", id, channel);
        if (channel?.close(by)) this.#retire(channel);
      },
    };
  }

  #channel(opener: End, id: number): ChannelTrace | undefined {
    if (this.#open.size >= MAX_CHANNELS) {
      // Its frames are still reported.
      this.#ids[opener].delete(id);
      return undefined;
    }
    const number = this.#tracer.nextChannel();
    const channel = new ChannelTrace(number, opener, this);
    channel.ids[opener] = id;
    this.#ids[opener].set(id, channel);
    this.#open.add(channel);
    return channel;
  }

  #retire(channel: ChannelTrace): void {
    if (!this.#open.delete(channel)) return;
    if (this.#open.size === 0) this.onIdle?.();
    this.#closed.push(channel);
    if (this.#closed.length <= MAX_CLOSED) return;
    const oldest = this.#closed.shift()!;
    for (const end of ["near", "far"] as const) {
      const id = oldest.ids[end];
      // The reference gives an ID to the next channel.
      if (id === undefined || this.#ids[end].get(id) !== oldest) continue;
      this.#ids[end].delete(id);
    }
  }
}
