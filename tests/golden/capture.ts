/**
 * The captured exchanges of two reference peers, as data.
 *
 * @module
 */
import { concat, fromHex } from "../support/wire.ts";
import { FrameType } from "../../mux/wire/frame.ts";
import capture from "./wire_json.json" with { type: "json" };

/** Who sent a frame: the one that dialled and called, or the other. */
export type Side = "client" | "server";

/** A frame that was seen, or what the caller's program printed. */
export type Step = { from: Side; bytes: Uint8Array } | { outcome: string };

/** One session of the capture. */
export interface Exchange {
  /** The selector that was called, more or less. */
  name: string;
  /** Everything seen, in order. */
  steps: Step[];
}

/** All of them. */
export const exchanges: readonly Exchange[] = capture.exchanges.map(
  ({ name, script }) => ({
    name,
    steps: script.map((line: Record<string, string | undefined>): Step =>
      line.outcome !== undefined
        ? { outcome: line.outcome }
        : line.client !== undefined
        ? { from: "client", bytes: fromHex(line.client) }
        : { from: "server", bytes: fromHex(line.server!) }
    ),
  }),
);

/** The exchange of that name. */
export function exchange(name: string): Exchange {
  const found = exchanges.find((exchange) => exchange.name === name);
  if (found === undefined) throw new RangeError(`There is no exchange ${name}`);
  return found;
}

/** The frames of one side, in order. */
export function framesOf({ steps }: Exchange, side: Side): Uint8Array[] {
  return steps.flatMap((step) =>
    "from" in step && step.from === side ? [step.bytes] : []
  );
}

/** The payload that one side sent, up to its end. */
export function payloadOf(frames: readonly Uint8Array[]): Uint8Array {
  return concat(
    ...frames
      .filter((bytes) => bytes[0] === FrameType.DATA)
      .map((bytes) => bytes.subarray(9)),
  );
}

/** Cuts what one side sends at once into chunks. */
export type Chunking = (frames: Uint8Array[]) => Uint8Array[];

/** Ways to cut: whole, by frame, by byte, and in two at every position. */
export function* chunkings(
  longest: number,
): Generator<[name: string, chunking: Chunking]> {
  yield ["whole", (frames) => [concat(...frames)]];
  yield ["frame by frame", (frames) => frames];
  yield [
    "byte by byte",
    (frames) => Array.from(concat(...frames), (byte) => Uint8Array.of(byte)),
  ];
  for (let at = 1; at < longest; at++) {
    yield [`cut at ${at}`, (frames) => {
      const bytes = concat(...frames);
      return at < bytes.length
        ? [bytes.subarray(0, at), bytes.subarray(at)]
        : [bytes];
    }];
  }
}
