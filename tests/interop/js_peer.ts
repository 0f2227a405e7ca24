/**
 * A peer that does as qtalk-js does, where a server has to mind it: it is not to
 * be had from npm. Each header and each value it takes by one read of what one
 * DATA frame brought, so what is cut breaks it. It sees the end of data by EOF
 * only. A channel that ends without a call breaks it, and so does a frame for a
 * channel that it does not know.
 *
 * What breaks the real one, or lets it wait for ever, rejects `broken` here.
 *
 * @module
 */
import type { Transport } from "../../mux/types.ts";
import {
  adjust,
  close,
  confirm,
  data,
  eof,
  type Frame,
  FrameCollector,
  framed,
  open,
} from "../support/wire.ts";
import type { JsCodec } from "./js_codecs.ts";

/** What a handler there answers with its argument. */
export type JsHandler = (value: unknown) => unknown;

/** What a call resolves to there. */
export interface JsResponse {
  value: unknown;
  continue: boolean;
  channel: JsChannel;
}

/** The end of the values of a channel. */
export const END = Symbol("end");

/** Its peer: session, client and server. */
export class JsPeer {
  readonly #transport: Transport;
  readonly #codec: JsCodec;
  readonly #handlers: Record<string, JsHandler>;
  readonly #channels = new Map<number, JsChannel>();
  readonly #broken = Promise.withResolvers<never>();
  readonly #collector = new FrameCollector((frame) => this.#frame(frame));
  #writing: Promise<void> = Promise.resolve();
  #closed = false;
  /** Resolves when the connection has ended. */
  readonly done: Promise<void>;

  /** Talks over one end of a pipe. */
  constructor(
    transport: Transport,
    codec: JsCodec,
    handlers: Record<string, JsHandler> = {},
  ) {
    this.#transport = transport;
    this.#codec = codec;
    this.#handlers = handlers;
    this.#broken.promise.catch(() => {});
    this.done = this.#read();
  }

  /** Rejects when something has come that the real one does not survive. */
  get broken(): Promise<never> {
    return this.#broken.promise;
  }

  /** Channels that are not closed both ways. */
  get openChannels(): number {
    return this.#channels.size;
  }

  /** Sends a call; resolves to its channel. */
  async begin(selector: string, arg: unknown): Promise<JsChannel> {
    const channel = this.#newChannel();
    this.send(open(channel.id));
    await channel.confirmed;
    await channel.send({ Selector: selector });
    await channel.send(arg);
    return channel;
  }

  /** Calls; rejects with the text of an error, a plain string. */
  async call(selector: string, arg: unknown): Promise<JsResponse> {
    const channel = await this.begin(selector, arg);
    const header = await channel.receive() as {
      Error?: string | null;
      Continue?: boolean;
    };
    if (typeof header.Error === "string") {
      channel.close();
      throw header.Error;
    }
    const value = await channel.receive();
    if (header.Continue !== true) channel.close();
    return { value, continue: header.Continue === true, channel };
  }

  /** Ends the connection. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    await this.#transport.close();
    await this.done;
  }

  /** Sends a frame. */
  send(frame: Uint8Array): void {
    this.#writing = this.#writing
      .then(() => this.#transport.write(frame))
      .catch(() => {}); // The other end is gone; reading says so.
  }

  /** The channel is over. */
  forget(channel: JsChannel): void {
    this.#channels.delete(channel.id);
  }

  /** Says what the real one would not have survived. */
  break(why: string): Error {
    const error = new Error(`qtalk-js would break: ${why}`);
    this.#broken.reject(error);
    return error;
  }

  #newChannel(): JsChannel {
    let id = 0;
    while (this.#channels.has(id)) id++; // The lowest that is free.
    const channel = new JsChannel(this, this.#codec, id);
    this.#channels.set(id, channel);
    return channel;
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const chunk = await this.#transport.read();
        if (chunk === null) return;
        this.#collector.push(chunk);
      }
    } catch (error) {
      if (!this.#closed) this.break(`${error}`);
    }
  }

  #frame(frame: Frame): void {
    if (frame.type === "open") {
      const channel = this.#newChannel();
      channel.open(frame.sender, frame.window, frame.maxPacketSize);
      this.send(confirm(frame.sender, channel.id));
      void this.#respond(channel);
      return;
    }
    const channel = this.#channels.get(frame.recipient);
    if (channel === undefined) {
      this.break(`${frame.type} for a channel that it does not know`);
      return;
    }
    channel.frame(frame);
  }

  async #respond(channel: JsChannel): Promise<void> {
    try {
      const header = await channel.receive();
      if (header === END) throw this.break("a channel ended without a call");
      const { Selector } = header as { Selector: string };
      // As it does: of several dots it turns the first into a slash.
      const selector = Selector.replace(/^\//, "").replace(".", "/");
      const handler = this.#handlers[selector];
      const arg = await channel.receive();
      if (handler === undefined) {
        await channel.send({
          Error: `not found: ${selector}`,
          Continue: false,
        });
        await channel.send(null);
      } else {
        const value = handler(arg);
        // What is undefined is not said in JSON.
        await channel.send({ Error: undefined, Continue: false });
        await channel.send(value);
      }
      channel.close();
    } catch {
      // It has said so.
    }
  }
}

/** Its channel. */
export class JsChannel {
  readonly id: number;
  readonly #peer: JsPeer;
  readonly #codec: JsCodec;
  readonly #opened = Promise.withResolvers<void>();
  /** What DATA frames brought, each as it came. */
  readonly #received: Uint8Array[] = [];
  #remote = -1;
  #window = 0;
  #maxPacketSize = 0;
  #ended = false;
  #closedThere = false;
  #closedHere = false;
  /** Called when a frame came that somebody may wait for. */
  #wake = Promise.withResolvers<void>();

  constructor(peer: JsPeer, codec: JsCodec, id: number) {
    this.#peer = peer;
    this.#codec = codec;
    this.id = id;
  }

  /** Resolves when the other side has accepted it. */
  get confirmed(): Promise<void> {
    return this.#opened.promise;
  }

  /** The other side's number and grant have come. */
  open(remote: number, window: number, maxPacketSize: number): void {
    this.#remote = remote;
    this.#window = window;
    this.#maxPacketSize = maxPacketSize;
    this.#opened.resolve();
  }

  /** A frame for this channel. */
  frame(frame: Frame): void {
    switch (frame.type) {
      case "open-confirm":
        this.open(frame.sender, frame.window, frame.maxPacketSize);
        break;
      case "open-failure":
        this.#opened.reject(new Error("refused"));
        this.#peer.forget(this);
        break;
      case "window-adjust":
        this.#window += frame.bytes;
        break;
      case "data":
        this.#received.push(frame.payload);
        break;
      case "eof":
        this.#ended = true;
        break;
      case "close":
        this.#closedThere = true;
        this.close();
        this.#peer.forget(this);
    }
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** Sends a value. */
  async send(value: unknown): Promise<void> {
    await this.write(framed(this.#codec.encode(value)));
  }

  /** Takes a value by two reads; {@linkcode END} at the end. */
  async receive(): Promise<unknown> {
    const prefix = await this.read(4);
    if (prefix === null) return END;
    if (prefix.length < 4) throw this.#cut("a length", prefix.length, 4);
    const view = new DataView(prefix.buffer, prefix.byteOffset, 4);
    const size = view.getUint32(0);
    const bytes = await this.read(size);
    if (bytes?.length !== size) throw this.#cut("a value", bytes?.length, size);
    return this.#codec.decode(bytes);
  }

  /** At most `size` bytes of what one DATA frame brought; `null` at the end. */
  async read(size: number): Promise<Uint8Array | null> {
    while (this.#received.length === 0) {
      if (this.#ended) return null;
      if (this.#closedThere) {
        throw this.#peer.break("CLOSE came without EOF, and it waits for ever");
      }
      await this.#wake.promise;
    }
    const first = this.#received[0]!;
    const bytes = first.subarray(0, size);
    if (bytes.length === first.length) this.#received.shift();
    else this.#received[0] = first.subarray(size);
    this.#say(adjust(this.#remote, bytes.length));
    return bytes;
  }

  /** Sends bytes, as far as the window goes at once. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const room = Math.min(this.#window, this.#maxPacketSize);
      if (this.#closedHere) throw new Error("written to a closed channel");
      if (room === 0) {
        await this.#wake.promise;
        continue;
      }
      const piece = bytes.subarray(at, at + room);
      this.#say(data(this.#remote, piece));
      this.#window -= piece.length;
      at += piece.length;
    }
  }

  /** Sends EOF. */
  closeWrite(): void {
    this.#say(eof(this.#remote));
  }

  /** Sends CLOSE, once. */
  close(): void {
    this.#say(close(this.#remote));
    this.#closedHere = true;
  }

  #say(frame: Uint8Array): void {
    if (!this.#closedHere) this.#peer.send(frame);
  }

  #cut(what: string, came: number | undefined, size: number): Error {
    return this.#peer.break(`${what} came cut, ${came ?? 0} of ${size} bytes`);
  }
}
