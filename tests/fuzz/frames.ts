/**
 * Frames: chunks do not change their meaning, and invalid bytes are a protocol
 * error.
 *
 * @module
 */
import { assert, assertEquals, assertIsError } from "@std/assert";
import { MuxError } from "@qtalk/qtalk";
import type { Random } from "../support/random.ts";
import {
  concat,
  encodeFrame,
  type Frame,
  FrameCollector,
} from "../support/wire.ts";
import type { Target } from "./target.ts";
import { damaged } from "./values.ts";

function number(random: Random): number {
  return random.pick([0, 1, random.int(0, 300), random.int(0, 2 ** 32 - 1)]);
}

function anyFrame(random: Random): Frame {
  const recipient = number(random);
  switch (random.int(0, 6)) {
    case 0:
      return {
        type: "open",
        sender: recipient,
        window: number(random),
        maxPacketSize: number(random),
      };
    case 1:
      return {
        type: "open-confirm",
        recipient,
        sender: number(random),
        window: number(random),
        maxPacketSize: number(random),
      };
    case 2:
      return { type: "open-failure", recipient };
    case 3:
      return { type: "window-adjust", recipient, bytes: number(random) };
    case 4:
      return {
        type: "data",
        recipient,
        payload: random.bytes(random.pick([0, 1, 9, 300])),
      };
    case 5:
      return { type: "eof", recipient };
    default:
      return { type: "close", recipient };
  }
}

/** Parses chunks into frames, and an error if there is one. */
function meaning(chunks: Uint8Array[]): { frames: Frame[]; error?: unknown } {
  const frames: Frame[] = [];
  const collector = new FrameCollector((frame) => frames.push(frame));
  try {
    for (const chunk of chunks) collector.push(chunk);
    return { frames };
  } catch (error) {
    return { frames, error };
  }
}

/** Shortens DATA frames, whose payload would be waited for otherwise. */
function small(bytes: Uint8Array): Uint8Array {
  for (let at = 0; at + 9 <= bytes.length; at++) {
    if (bytes[at] === 104) bytes.fill(0, at + 5, at + 7);
  }
  return bytes;
}

/** The decoder of frames. */
export const frames: Target = {
  name: "frames",
  round(random) {
    const sent = Array.from(
      { length: random.int(1, 30) },
      () => anyFrame(random),
    );
    const bytes = concat(...sent.map(encodeFrame));
    const whole = meaning([bytes]);
    assertEquals(whole, { frames: sent });
    const size = random.pick([1, 5, 40, 400]);
    assertEquals(meaning(random.split(bytes, size)), whole);

    const wrong = small(
      random.chance(0.7)
        ? damaged(random, bytes)
        : random.bytes(random.int(1, 200)),
    );
    const once = meaning([wrong]);
    const cut = meaning(random.split(wrong, size));
    assertEquals(cut.frames, once.frames);
    assertEquals(cut.error === undefined, once.error === undefined);
    for (const { error } of [once, cut]) {
      if (error === undefined) continue;
      assertIsError(error, MuxError);
      assert(error.code === "protocol-error", error.code);
    }
  },
};
