import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { forSeeds, type Random } from "../../tests/support/random.ts";
import {
  concat,
  data,
  dataHeader,
  encodeFrame,
  type Frame,
  FrameCollector,
  open,
  parseFrames,
  utf8,
} from "../../tests/support/wire.ts";
import { MuxError } from "../errors.ts";
import { FrameDecoder, type FrameSink } from "./frame_decoder.ts";

/** Every type, with IDs of four bytes and payloads that look like frames. */
const FRAMES: readonly Frame[] = [
  { type: "open", sender: 0x01020304, window: 0xfffefdfc, maxPacketSize: 9 },
  { type: "data", recipient: 7, payload: utf8("hello") },
  {
    type: "open-confirm",
    recipient: 0xffffffff,
    sender: 0,
    window: 0x80000000,
    maxPacketSize: 0x7fffffff,
  },
  { type: "data", recipient: 0x01000000, payload: new Uint8Array(0) },
  { type: "open-failure", recipient: 0x00010000 },
  { type: "data", recipient: 1, payload: new Uint8Array(40).fill(106) },
  { type: "window-adjust", recipient: 0x00000100, bytes: 0xdeadbeef },
  { type: "eof", recipient: 0x68686868 },
  { type: "data", recipient: 0, payload: Uint8Array.of(104) },
  { type: "close", recipient: 0x6a6a6a6a },
];
const BYTES = concat(...FRAMES.map(encodeFrame));

function randomFrame(random: Random): Frame {
  const uint32 = () => random.int(0, 2 ** 32 - 1);
  switch (random.int(0, 6)) {
    case 0:
      return {
        type: "open",
        sender: uint32(),
        window: uint32(),
        maxPacketSize: uint32(),
      };
    case 1:
      return {
        type: "open-confirm",
        recipient: uint32(),
        sender: uint32(),
        window: uint32(),
        maxPacketSize: uint32(),
      };
    case 2:
      return { type: "open-failure", recipient: uint32() };
    case 3:
      return { type: "window-adjust", recipient: uint32(), bytes: uint32() };
    case 4:
      return {
        type: "data",
        recipient: uint32(),
        payload: random.bytes(
          random.pick([0, 1, 8, 9, 17, random.int(0, 300)]),
        ),
      };
    case 5:
      return { type: "eof", recipient: uint32() };
    default:
      return { type: "close", recipient: uint32() };
  }
}

/** A sink that ignores all frames but those that the test handles. */
function silentSink(part: Partial<FrameSink> = {}): FrameSink {
  const nothing = () => {};
  return {
    onOpen: nothing,
    onOpenConfirm: nothing,
    onOpenFailure: nothing,
    onWindowAdjust: nothing,
    onData: nothing,
    onPayload: nothing,
    onEof: nothing,
    onClose: nothing,
    ...part,
  };
}

Deno.test("FrameDecoder: decodes the encoded frames from one chunk", () => {
  assertEquals(parseFrames(BYTES), FRAMES);
});

Deno.test("FrameDecoder: decodes the same frames when the bytes are split anywhere", () => {
  for (let at = 0; at <= BYTES.length; at++) {
    assertEquals(
      parseFrames(BYTES.subarray(0, at), BYTES.subarray(at)),
      FRAMES,
      `split at ${at}`,
    );
  }
});

Deno.test("FrameDecoder: decodes the same frames when the bytes are split anywhere twice", () => {
  for (let i = 0; i <= BYTES.length; i++) {
    for (let j = i; j <= BYTES.length; j++) {
      const frames = parseFrames(
        BYTES.subarray(0, i),
        BYTES.subarray(i, j),
        BYTES.subarray(j),
      );
      assertEquals(frames, FRAMES, `split at ${i} and ${j}`);
    }
  }
});

Deno.test("FrameDecoder: decodes the same frames byte by byte", () => {
  assertEquals(
    parseFrames(...Array.from(BYTES, (byte) => Uint8Array.of(byte))),
    FRAMES,
  );
});

Deno.test("FrameDecoder: decodes random frames from random chunks", async () => {
  await forSeeds(50, (random) => {
    const frames = Array.from(
      { length: random.int(1, 40) },
      () => randomFrame(random),
    );
    const bytes = concat(...frames.map(encodeFrame));
    const chunks = random.split(bytes, random.pick([1, 3, 16, 64, 1_000]));
    assertEquals(parseFrames(...chunks), frames);
  });
});

Deno.test("FrameDecoder: keeps no view of a chunk", () => {
  const frames: Frame[] = [];
  const collector = new FrameCollector((frame) => frames.push(frame));
  const buffer = new Uint8Array(7);
  for (let at = 0; at < BYTES.length; at += buffer.length) {
    const chunk = BYTES.subarray(at, at + buffer.length);
    buffer.set(chunk);
    collector.push(buffer.subarray(0, chunk.length));
    buffer.fill(0xee);
  }
  assertEquals(frames, FRAMES);
});

Deno.test("FrameDecoder: atBoundary is true between two frames only", () => {
  const borders = new Set([0]);
  let end = 0;
  for (const frame of FRAMES) borders.add(end += encodeFrame(frame).length);
  const decoder = new FrameDecoder(silentSink());
  for (let at = 0; at < BYTES.length; at++) {
    assertEquals(decoder.atBoundary, borders.has(at), `after ${at} bytes`);
    decoder.push(BYTES.subarray(at, at + 1));
  }
  assert(decoder.atBoundary);
});

Deno.test("FrameDecoder: passes payload as ranges of the chunk, without a copy", () => {
  const pieces: [Uint8Array, number, number][] = [];
  const decoder = new FrameDecoder(
    silentSink({ onPayload: (...piece) => pieces.push(piece) }),
  );
  const chunk = data(0, "payload");
  decoder.push(chunk);
  assertEquals(pieces.length, 1);
  const [bytes, from, to] = pieces[0]!;
  assertStrictEquals(bytes, chunk);
  assertEquals(bytes.subarray(from, to), utf8("payload"));
});

Deno.test("FrameDecoder: passes the header of DATA before any payload arrives", () => {
  const headers: [number, number][] = [];
  const decoder = new FrameDecoder(
    silentSink({ onData: (...header) => headers.push(header) }),
  );
  decoder.push(dataHeader(3, 0xffffffff));
  assertEquals(headers, [[3, 0xffffffff]]);
  assert(!decoder.atBoundary);
});

Deno.test("FrameDecoder: passes no piece for an empty payload", () => {
  let pieces = 0;
  const decoder = new FrameDecoder(silentSink({ onPayload: () => pieces++ }));
  decoder.push(concat(data(0, ""), data(1, "")));
  assertEquals(pieces, 0);
  assert(decoder.atBoundary);
});

Deno.test("FrameDecoder: ignores an empty chunk", () => {
  const decoder = new FrameDecoder(silentSink());
  decoder.push(new Uint8Array(0));
  assert(decoder.atBoundary);
  decoder.push(BYTES.subarray(0, 4));
  decoder.push(new Uint8Array(0));
  assert(!decoder.atBoundary);
});

Deno.test("FrameDecoder: an unknown frame type is an error before more arrives", () => {
  let opened = 0;
  const decoder = new FrameDecoder(silentSink({ onOpen: () => opened++ }));
  const error = assertThrows(
    () => decoder.push(concat(open(0), utf8("G"))),
    MuxError,
    "received 0x47, which is not a frame type",
  );
  assertEquals(error.code, "protocol-error");
  assertEquals(opened, 1, "the frame before it was passed on");
});

Deno.test("FrameDecoder: push() throws what the sink throws", () => {
  const limit = new Error("too long");
  const decoder = new FrameDecoder(silentSink({
    onData: () => {
      throw limit;
    },
  }));
  assert(assertThrows(() => decoder.push(data(0, "x"))) === limit);
});
