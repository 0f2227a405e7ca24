import { assert, assertEquals } from "@std/assert";
import {
  concat,
  encodeFrame,
  type Frame,
  fromHex,
  parseFrames,
  toHex,
} from "../support/wire.ts";
import { exchanges, framesOf, type Side } from "./capture.ts";
import { contentsOf } from "./recordings.ts";

const sides: Side[] = ["client", "server"];

Deno.test("every captured frame parses to one frame and encodes to the same bytes", () => {
  const seen = new Set<Frame["type"]>();
  let count = 0;
  for (const exchange of exchanges) {
    for (const bytes of sides.flatMap((side) => framesOf(exchange, side))) {
      const frames = parseFrames(bytes);
      assertEquals(frames.length, 1);
      assertEquals(toHex(encodeFrame(frames[0]!)), toHex(bytes));
      seen.add(frames[0]!.type);
      count++;
    }
  }
  // As many as the capture has: an empty file must not pass.
  assertEquals(count, 103);
  assertEquals(
    [...seen].sort(),
    ["close", "data", "open", "open-confirm", "window-adjust"],
  );
});

for (const [codec, expected] of [["json", 5_851], ["cbor", 5_932]] as const) {
  Deno.test(`golden: every recorded frame in ${codec.toUpperCase()} parses to one frame and encodes to the same bytes`, () => {
    const { frames } = contentsOf(codec);
    for (const hex of frames) {
      const [frame, ...more] = parseFrames(fromHex(hex));
      assertEquals(more, []);
      assertEquals(toHex(encodeFrame(frame!)), hex);
    }
    assertEquals(frames.length, expected);
  });
}

Deno.test("the first captured frames mean what the reference documents", () => {
  const echo = exchanges[0]!;
  const [open, header] = parseFrames(concat(...framesOf(echo, "client")));
  const [confirm] = parseFrames(concat(...framesOf(echo, "server")));
  const window = 64 * 16 * 1024 * 1024, maxPacketSize = 16 * 1024 * 1024;
  assertEquals(open, { type: "open", sender: 0, window, maxPacketSize });
  assertEquals(
    confirm,
    { type: "open-confirm", recipient: 0, sender: 0, window, maxPacketSize },
  );
  assert(header?.type === "data");
  assertEquals(
    new TextDecoder().decode(header.payload),
    '\0\0\0\x14{"Selector":"echo"}\n',
  );
});

Deno.test("a captured conversation gives the same frames cut at any byte", () => {
  for (const exchange of exchanges) {
    for (const side of sides) {
      const frames = framesOf(exchange, side);
      const bytes = concat(...frames);
      const expected = frames.flatMap((frame) => parseFrames(frame));
      for (let at = 0; at <= bytes.length; at++) {
        assertEquals(
          parseFrames(bytes.subarray(0, at), bytes.subarray(at)),
          expected,
        );
      }
      assertEquals(
        parseFrames(...Array.from(bytes, (byte) => Uint8Array.of(byte))),
        expected,
      );
    }
  }
});
