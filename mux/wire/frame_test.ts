import { readUint32, writeUint32 } from "../../uint32.ts";
import { assertEquals, assertThrows } from "@std/assert";
import {
  encodeFrame,
  type Frame,
  fromHex,
  toHex,
} from "../../tests/support/wire.ts";
import { MuxError } from "../errors.ts";
import {
  FrameType,
  headerSize,
  MAX_FRAME_HEADER_SIZE,
  writeClose,
  writeData,
  writeEof,
  writeOpen,
  writeOpenConfirm,
  writeOpenFailure,
  writeWindowAdjust,
} from "./frame.ts";

/** Each frame, and its bytes written out by hand. */
const FRAMES: readonly { frame: Frame; hex: string }[] = [
  {
    frame: { type: "open", sender: 1, window: 0x0a0b0c0d, maxPacketSize: 9 },
    hex: "64 00000001 0a0b0c0d 00000009",
  },
  {
    frame: {
      type: "open-confirm",
      recipient: 0xfffffffe,
      sender: 2,
      window: 0xffffffff,
      maxPacketSize: 0x80000000,
    },
    hex: "65 fffffffe 00000002 ffffffff 80000000",
  },
  { frame: { type: "open-failure", recipient: 3 }, hex: "66 00000003" },
  {
    frame: { type: "window-adjust", recipient: 4, bytes: 0x01020304 },
    hex: "67 00000004 01020304",
  },
  {
    frame: { type: "data", recipient: 5, payload: fromHex("00ff10") },
    hex: "68 00000005 00000003 00ff10",
  },
  {
    frame: { type: "data", recipient: 5, payload: new Uint8Array(0) },
    hex: "68 00000005 00000000",
  },
  { frame: { type: "eof", recipient: 0x80000000 }, hex: "69 80000000" },
  { frame: { type: "close", recipient: 0xffffffff }, hex: "6a ffffffff" },
];

for (const { frame, hex } of FRAMES) {
  Deno.test(`frame: ${frame.type} is written as ${hex}`, () => {
    assertEquals(toHex(encodeFrame(frame)), hex.replaceAll(" ", ""));
  });
}

Deno.test("headerSize: is the size of the written header", () => {
  for (const { frame } of FRAMES) {
    const bytes = encodeFrame(frame);
    const payload = frame.type === "data" ? frame.payload.length : 0;
    assertEquals(headerSize(bytes[0]!), bytes.length - payload, frame.type);
  }
});

Deno.test("MAX_FRAME_HEADER_SIZE: is the size of the longest header", () => {
  const sizes = Object.values(FrameType).map(headerSize);
  assertEquals(Math.max(...sizes), MAX_FRAME_HEADER_SIZE);
});

Deno.test("headerSize: an unknown type is a protocol error that quotes it", () => {
  const known = new Set<number>(Object.values(FrameType));
  for (let byte = 0; byte < 256; byte++) {
    if (known.has(byte)) continue;
    const error = assertThrows(() => headerSize(byte), MuxError);
    assertEquals(error.code, "protocol-error");
    assertEquals(
      error.message,
      `Cannot continue session: received 0x${
        toHex(Uint8Array.of(byte))
      }, which is not a frame type`,
    );
  }
});

Deno.test("readUint32: reads what writeUint32() wrote, including the highest bit", () => {
  const bytes = new Uint8Array(8);
  for (
    const value of [
      0,
      1,
      0xff,
      0x100,
      0x12345678,
      0x7fffffff,
      2 ** 31,
      2 ** 32 - 1,
    ]
  ) {
    writeUint32(bytes, 3, value);
    assertEquals(readUint32(bytes, 3), value);
    assertEquals(new DataView(bytes.buffer).getUint32(3), value);
  }
});

Deno.test("frame: a writer changes only the bytes of its frame", () => {
  const writers: [(bytes: Uint8Array) => void, string][] = [
    [(bytes) => writeOpen(bytes, 2, 1, 2, 3), "64000000010000000200000003"],
    [
      (bytes) => writeOpenConfirm(bytes, 2, 1, 2, 3, 4),
      "6500000001000000020000000300000004",
    ],
    [(bytes) => writeOpenFailure(bytes, 2, 1), "6600000001"],
    [(bytes) => writeWindowAdjust(bytes, 2, 1, 2), "670000000100000002"],
    [
      (bytes) => writeData(bytes, 2, 1, fromHex("0708")),
      "680000000100000002" + "0708",
    ],
    [(bytes) => writeEof(bytes, 2, 1), "6900000001"],
    [(bytes) => writeClose(bytes, 2, 1), "6a00000001"],
  ];
  for (const [write, hex] of writers) {
    const bytes = new Uint8Array(24).fill(0xaa);
    write(bytes);
    const rest = "aa".repeat(22 - hex.length / 2);
    assertEquals(toHex(bytes), `aaaa${hex}${rest}`);
  }
});
