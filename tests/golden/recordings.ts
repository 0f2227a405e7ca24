/**
 * The recordings: what two peers of the reference said to each other, frame by
 * frame. README.md has their format.
 *
 * @module
 */
import { type Frame, fromHex, parseFrames } from "../support/wire.ts";
import type { Side } from "./capture.ts";
import { Said } from "./said.ts";
import cbor from "./go_cbor.json" with { type: "json" };
import json from "./go_json.json" with { type: "json" };
import { type CodecName, notation, readValue } from "./wire_value.ts";

/** What an exchange is about. */
export type Kind =
  | "call"
  | "several"
  | "values"
  | "bytes"
  | "callback"
  | "function"
  | "cancel"
  | "end"
  | "open"
  | "window"
  | "proxy";

/** A channel of a recorded session. */
export interface RecordedChannel {
  /** The side that opened it, and its place among the channels of that side. */
  readonly name: string;
  readonly opener: Side;
  /** What each side said on it, to the end. */
  readonly said: Readonly<Record<Side, Said>>;
}

/** A frame or an outcome, in the order of a recording. */
export type Entry =
  | { by: Side; frame: Frame; channel: RecordedChannel; outcome?: undefined }
  | { by: Side; outcome: string; frame?: undefined; channel?: undefined };

/** One session. */
export interface Recording {
  readonly name: string;
  readonly codec: CodecName;
  readonly kind: Kind;
  readonly entries: readonly Entry[];
  readonly channels: readonly RecordedChannel[];
  /** The side that ends the byte stream after the last frame, if one does. */
  readonly ends: Side | undefined;
  /** Whether windows and packet sizes were lowered as the frames passed. */
  readonly lowered: boolean;
  /** Of one leg of a proxy: the places of its entries in the order of both. */
  readonly at: readonly number[] | undefined;
}

/** An exchange as the files have it. */
interface Exchange {
  name: string;
  codec: string;
  kind: string;
  ends?: string;
  lowered?: boolean;
  at?: number[];
  script: Record<string, string | undefined>[];
}

/** How many exchanges a file has, by their kind, and all of their frames. */
export function contentsOf(codec: CodecName): {
  kinds: Record<string, number>;
  frames: string[];
} {
  const { exchanges } = codec === "json" ? json : cbor;
  const kinds: Record<string, number> = {};
  for (const { kind } of exchanges) kinds[kind] = (kinds[kind] ?? 0) + 1;
  const frames = (exchanges as Exchange[]).flatMap(({ script }) =>
    script.flatMap(({ client, server }) => client ?? server ?? [])
  );
  return { kinds, frames };
}

/** The other side. */
export function other(side: Side): Side {
  return side === "client" ? "server" : "client";
}

/** The selector that a channel was opened to call, in one form. */
export function selectorOf(
  { said, opener }: Pick<RecordedChannel, "said" | "opener">,
): string | undefined {
  return said[opener].selector;
}

/** The name without what says that frames were not paced. */
export function plainName({ name }: Recording): string {
  return name.replace(/, unpaced$/, "");
}

/** The frames of one side, in order. */
export function framesBy({ entries }: Recording, side: Side): Frame[] {
  return entries.flatMap(({ by, frame }) =>
    frame !== undefined && by === side ? [frame] : []
  );
}

function parse(exchange: Exchange): Recording {
  const codec = exchange.codec as CodecName;
  const channels = new Channels(codec);
  const entries = exchange.script.map((line): Entry => {
    if (line.outcome !== undefined) {
      return { by: (line.by ?? "client") as Side, outcome: line.outcome };
    }
    const by: Side = line.client !== undefined ? "client" : "server";
    const [frame] = parseFrames(fromHex(line[by]!));
    return { by, frame: frame!, channel: channels.take(by, frame!) };
  });
  return {
    name: exchange.name,
    codec,
    kind: exchange.kind as Kind,
    entries,
    channels: channels.all,
    ends: exchange.ends as Side | undefined,
    lowered: exchange.lowered ?? false,
    at: exchange.at,
  };
}

/** Finds the channel that each frame belongs to; numbers are used again. */
class Channels {
  readonly all: RecordedChannel[] = [];
  readonly #codec: CodecName;
  /** Channels by the number that each side gave them last. */
  readonly #named: Record<Side, Map<number, RecordedChannel>> = {
    client: new Map(),
    server: new Map(),
  };

  constructor(codec: CodecName) {
    this.#codec = codec;
  }

  /** The channel of the next frame, which is added to what was said on it. */
  take(by: Side, frame: Frame): RecordedChannel {
    const channel = frame.type === "open"
      ? this.#open(by)
      : this.#named[other(by)].get(frame.recipient) ?? this.#unconfirmed(by);
    if (frame.type === "open" || frame.type === "open-confirm") {
      this.#named[by].set(frame.sender, channel);
    }
    channel.said[by].take(frame);
    return channel;
  }

  #open(opener: Side): RecordedChannel {
    const earlier = this.all.filter((channel) => channel.opener === opener);
    const said = saidOn(this.#codec, opener);
    const channel = { name: `${opener} ${earlier.length}`, opener, said };
    this.all.push(channel);
    return channel;
  }

  /** The reference answers a CLOSE that came before the confirmation, too. */
  #unconfirmed(by: Side): RecordedChannel {
    return this.all.findLast(({ opener }) => opener === by)!;
  }
}

/** All recordings, by their codec. */
export const recordings: Readonly<Record<CodecName, readonly Recording[]>> = {
  json: (json.exchanges as Exchange[]).map(parse),
  cbor: (cbor.exchanges as Exchange[]).map(parse),
};

/** Makes what is said on a channel, of which nothing has been said. */
export function saidOn(codec: CodecName, opener: Side): Record<Side, Said> {
  const call = new Said(codec, "call");
  const response = new Said(codec, "response", call);
  return opener === "client"
    ? { client: call, server: response }
    : { client: response, server: call };
}

/** The argument of a plain call, in the bytes that were sent. */
export function argumentOf(recording: Recording): Uint8Array {
  return recording.channels[0]!.said.client.values[1]!;
}

/** How a value of a recording is written for comparison. */
export function textOf(codec: CodecName, bytes: Uint8Array): string {
  return notation(readValue(codec, bytes));
}
