import { FrameDecoder, type FrameSink } from "../../mux/internal.ts";
import type { ChannelTrace, EventBody } from "./channel_trace.ts";
import { type End, type FrameName, otherEnd } from "./events.ts";

/** Bytes of a payload that the event of a frame has. */
const HEAD_SIZE = 32;
/** Channels that both ends have closed and whose late frames are recognized. */
const MAX_CLOSED = 256;
/** Frames that a decoder may decode before it has to be asked again. */
const ALLOWANCE = 2 ** 30 - 1;
const EMPTY = new Uint8Array(0);

/** What the frames of a byte stream need of their session. */
export interface ChannelHost {
  /** Whether the session has ended. */
  readonly isOver: boolean;
  /** Reports an event. */
  emit(body: EventBody): void;
  /** Begins a channel; undefined if there are too many to follow. */
  begin(opener: End): ChannelTrace | undefined;
  /** A channel has ended. Returns whether it had not before. */
  retire(channel: ChannelTrace): boolean;
  /** Reports headers that have waited for their first value long enough. */
  flushSome(): void;
}

/** Reads the frames of both directions of a byte stream, and finds their channels. */
export class FrameTrace {
  readonly #host: ChannelHost;
  readonly #decoders: Record<End, FrameDecoder>;
  readonly #unreadable: Record<End, boolean> = { near: false, far: false };
  /** Channels by the ID that each end gave them. */
  readonly #ids: Record<End, Map<number, ChannelTrace>> = {
    near: new Map(),
    far: new Map(),
  };
  /** Those of them that have ended, the oldest first. */
  readonly #closed: ChannelTrace[] = [];

  /** Makes one that has read nothing. */
  constructor(host: ChannelHost) {
    this.#host = host;
    this.#decoders = {
      near: new FrameDecoder(this.#sink("near")),
      far: new FrameDecoder(this.#sink("far")),
    };
  }

  /** Reads a chunk that an end has sent. */
  push(by: End, chunk: Uint8Array): void {
    if (this.#unreadable[by]) return;
    const decoder = this.#decoders[by];
    decoder.allowance = ALLOWANCE;
    try {
      decoder.push(chunk);
    } catch (error) {
      this.#unreadable[by] = true;
      this.#host.emit({ type: "direction", state: "malformed", by, error });
    }
  }

  /** An end sends no more frames: its channels that are open are lost. */
  cut(by: End): void {
    for (const channel of this.#ids[by].values()) {
      if (!channel.closed[by]) this.#lose(channel);
    }
    // The other end had not answered them.
    for (const channel of this.#ids[otherEnd(by)].values()) {
      if (channel.ids[by] === undefined) this.#lose(channel);
    }
  }

  /** Forgets all channels. */
  clear(): void {
    this.#ids.near.clear();
    this.#ids.far.clear();
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
    ) => this.#host.emit({ type: "frame", name, by, id, channel, ...rest });
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
    const channel = this.#host.begin(opener);
    if (channel === undefined) {
      // Its frames are still reported.
      this.#ids[opener].delete(id);
      return undefined;
    }
    channel.ids[opener] = id;
    this.#ids[opener].set(id, channel);
    return channel;
  }

  #lose(channel: ChannelTrace): void {
    if (this.#host.retire(channel)) channel.cut();
  }

  #retire(channel: ChannelTrace): void {
    if (!this.#host.retire(channel)) return;
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
