/**
 * Calls as a script makes and answers them, frame by frame.
 *
 * @module
 */
import type { SessionOptions } from "../../mux/options.ts";
import type { Peer, PeerOptions } from "../../talk/peer.ts";
import { type RawPeer, rawPeer } from "./raw_peer.ts";
import {
  close,
  concat,
  confirm,
  data,
  eof,
  GO_WINDOW,
  open,
  parseValues,
  values,
} from "./wire.ts";

/** One channel of a scripted end, open on both sides. */
export class RawChannel {
  readonly raw: RawPeer;
  /** The number that frames to the other end name. */
  readonly remote: number;
  /** The number that frames from the other end name. */
  readonly #id: number;
  /** What came as DATA and was not taken. */
  #received: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  /** Made by the two functions below. */
  constructor(raw: RawPeer, remote: number, id: number) {
    this.raw = raw;
    this.remote = remote;
    this.#id = id;
  }

  /** Sends values, each behind its length, as one DATA frame. */
  async values(...list: unknown[]): Promise<void> {
    await this.raw.send(data(this.remote, values(...list)));
  }

  /** Sends bytes as one DATA frame. */
  async data(bytes: Uint8Array | string): Promise<void> {
    await this.raw.send(data(this.remote, bytes));
  }

  /** Sends EOF. */
  async eof(): Promise<void> {
    await this.raw.send(eof(this.remote));
  }

  /** Sends CLOSE. */
  async close(): Promise<void> {
    await this.raw.send(close(this.remote));
  }

  /** Answers a call: header, values, EOF and CLOSE. */
  async answer(...list: unknown[]): Promise<void> {
    await this.raw.send(
      data(this.remote, values({ Error: null, Continue: false }, ...list)),
      eof(this.remote),
      close(this.remote),
    );
  }

  /** So many values that come next. DATA of other channels before them is dropped. */
  async read(count: number): Promise<unknown[]> {
    for (;;) {
      const end = endOf(this.#received, count);
      if (end !== undefined) {
        const list = parseValues(this.#received.subarray(0, end));
        this.#received = this.#received.slice(end);
        return list;
      }
      const { recipient, payload } = await this.raw.find("data");
      if (recipient !== this.#id) continue;
      this.#received = concat(this.#received, payload);
    }
  }
}

/** Where `count` framed values end; undefined if they have not all arrived. */
function endOf(bytes: Uint8Array, count: number): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 4 > bytes.length) return undefined;
    at += 4 + view.getUint32(at);
    if (at > bytes.length) return undefined;
  }
  return at;
}

/** Opens a channel from the scripted end. */
export async function rawOpen(
  raw: RawPeer,
  id = 0,
  window = GO_WINDOW,
): Promise<RawChannel> {
  await raw.send(open(id, window));
  const { sender } = await raw.find("open-confirm");
  return new RawChannel(raw, sender, id);
}

/** Opens a channel and calls, with both header and arguments in one frame. */
export async function rawCall(
  raw: RawPeer,
  selector: string,
  ...args: unknown[]
): Promise<RawChannel> {
  const channel = await rawOpen(raw);
  await channel.values({ Selector: selector }, ...args);
  return channel;
}

/** Accepts the channel that the other end opens next. */
export async function rawAccept(
  raw: RawPeer,
  id = 0,
  window = GO_WINDOW,
): Promise<RawChannel> {
  const { sender } = await raw.find("open");
  await raw.send(confirm(sender, id, window));
  return new RawChannel(raw, sender, id);
}

/**
 * A peer and a scripted end of its session, which need not say goodbye: the
 * peer's `close()` does not wait for it.
 */
export function scriptedPeer(
  options: PeerOptions = {},
  session: SessionOptions = { closeTimeout: 1 },
): { peer: Peer; raw: RawPeer } {
  return rawPeer({ ...options, session });
}
