import type { Codec } from "../../codec/internal.ts";
import type { SessionTap, StreamTap } from "../../mux/internal.ts";
import { CaptureBudget } from "./capture.ts";
import {
  ChannelTrace,
  type EventBody,
  type TraceContext,
} from "./channel_trace.ts";
import type { End, ObservedEvent, OnEvent } from "./events.ts";
import { FrameTrace } from "./frame_trace.ts";
import { ByteStreamTrace, FramedStreamTrace } from "./stream_trace.ts";

/** Channels of a session that are followed at the same time. */
const MAX_CHANNELS = 65_536;
/**
 * Milliseconds for which a header waits for the value that follows it: the reference
 * sends them one after the other.
 */
export const FLUSH_AFTER = 50;

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
 * is reported, and the rest of that direction is passed over. A session without a
 * byte stream, such as one over QUIC, has a stream for each channel.
 */
export class SessionTrace implements TraceContext, SessionTap {
  readonly budget: CaptureBudget;
  readonly codecs: readonly Codec[];
  readonly #tracer: Tracer;
  /** Its number among the sessions of its tracer, from 1. */
  readonly number: number;
  readonly #address: string;
  /** The frames of its byte stream. */
  readonly #frames = new FrameTrace(this);
  readonly #ended: Record<End, boolean> = { near: false, far: false };
  /** Channels that have not ended, in the order of their requests. */
  readonly #open = new Set<ChannelTrace>();
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
    if (this.#over) return;
    this.#frames.push(by, chunk);
    this.flushSome();
  }

  stream(isOutgoing: boolean, content: "frames" | "bytes"): StreamTap {
    const opener = isOutgoing ? "near" : "far";
    return content === "frames"
      ? new FramedStreamTrace(this)
      : new ByteStreamTrace(this, opener);
  }

  closed(error: unknown): void {
    this.close(error);
  }

  /** Whether it has ended. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Reports headers that have waited for their first value long enough. */
  flushSome(): void {
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
    this.#frames.clear();
    const address = this.#address;
    this.emit({ type: "session", state: "closed", address, error });
  }

  /** Begins a channel; undefined if there are too many to follow. */
  begin(opener: End): ChannelTrace | undefined {
    if (this.#open.size >= MAX_CHANNELS || this.#over) return undefined;
    const number = this.#tracer.nextChannel();
    const channel = new ChannelTrace(number, opener, this);
    this.#open.add(channel);
    return channel;
  }

  /** A channel has ended. Returns whether it had not before. */
  retire(channel: ChannelTrace): boolean {
    if (!this.#open.delete(channel)) return false;
    if (this.#open.size === 0) this.onIdle?.();
    return true;
  }
}
