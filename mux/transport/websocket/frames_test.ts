import { assert, assertEquals, assertThrows } from "@std/assert";
import { forSeeds } from "../../../tests/support/random.ts";
import {
  parseClientFrame,
  serverFrame,
} from "../../../tests/support/websocket_wire.ts";
import {
  concat,
  fromHex,
  text,
  toHex,
  utf8,
} from "../../../tests/support/wire.ts";
import { MuxError } from "../../errors.ts";
import { FrameReader, MaskedFrames, Opcode } from "./frames.ts";

// --- Writing -----------------------------------------------------------------

Deno.test("WebSocket frames: payloads of every form of length come out as they went in", () => {
  const frames = new MaskedFrames();
  for (const length of [0, 1, 3, 4, 125, 126, 127, 65_535, 65_536, 300_001]) {
    const payload = Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8));
    // Where it stands in its buffer is no matter.
    const shifted = new Uint8Array(length + 1).subarray(1);
    shifted.set(payload);
    const bytes = frames.frame(Opcode.BINARY, shifted);
    const { frame, rest } = parseClientFrame(bytes)!;
    assertEquals(frame.opcode, Opcode.BINARY);
    assertEquals(rest.length, 0);
    assertEquals(toHex(frame.payload), toHex(payload));
    assertEquals(
      toHex(shifted),
      toHex(payload),
      "the payload is left as it is",
    );
  }
});

Deno.test("WebSocket frames: no two have the same masking key", () => {
  const frames = new MaskedFrames();
  const keys = new Set<string>();
  for (let i = 0; i < 500; i++) {
    const bytes = frames.frame(Opcode.BINARY, new Uint8Array(1));
    keys.add(toHex(parseClientFrame(bytes)!.frame.key));
  }
  // One pair in two billion is the same by chance.
  assert(keys.size >= 499, `${keys.size} keys`);
});

Deno.test("WebSocket frames: a large one's buffer is let go when they are small again", () => {
  const frames = new MaskedFrames();
  const room = (length: number) =>
    frames.frame(Opcode.BINARY, new Uint8Array(length)).buffer.byteLength;
  assert(room(100_000) >= 100_000);
  let last = 0;
  for (let i = 0; i < 100; i++) last = room(10);
  assertEquals(last, 4 * 1024);
});

Deno.test("WebSocket frames: a buffer that is let go leaves one that holds the frame", () => {
  const frames = new MaskedFrames();
  frames.frame(Opcode.BINARY, new Uint8Array(100_000));
  // Less than a quarter of the buffer, and more than the smallest one.
  const payload = new Uint8Array(20_000).fill(7);
  for (let i = 0; i < 200; i++) {
    const bytes = frames.frame(Opcode.BINARY, payload);
    assertEquals(parseClientFrame(bytes)!.frame.payload, payload);
  }
});

// --- Reading -----------------------------------------------------------------

/** What a reader tells of these chunks, one line an event. */
function told(...chunks: Uint8Array[]): string[] {
  return toldOf(chunks);
}

function toldOf(chunks: Uint8Array[]): string[] {
  const events: string[] = [];
  let pieces: string[] = [];
  const tell = (event?: string) => {
    if (pieces.length > 0) events.push(`data ${pieces.join("")}`);
    pieces = [];
    if (event !== undefined) events.push(event);
  };
  const reader = new FrameReader({
    onData: (piece) => pieces.push(text(piece)),
    onPing: (payload) => tell(`ping ${text(payload)}`),
    onClose: (code, reason) => tell(`close ${code} ${reason}`),
  });
  for (const chunk of chunks) reader.push(chunk);
  tell();
  return events;
}

Deno.test("WebSocket frames: those of RFC 6455, section 5.7, are read", () => {
  assertEquals(told(fromHex("890548656c6c6f")), ["ping Hello"]);
  const dot = ".".charCodeAt(0);
  for (
    const [head, length] of [["827e0100", 256], [
      "827f0000000000010000",
      65_536,
    ]] as const
  ) {
    const bytes = concat(fromHex(head), new Uint8Array(length).fill(dot));
    assertEquals(told(bytes), [`data ${".".repeat(length)}`]);
  }
});

Deno.test("WebSocket frames: any chunking tells the same", async () => {
  const bytes = concat(
    serverFrame(Opcode.BINARY, "first "),
    serverFrame(Opcode.BINARY, "in ", { final: false }),
    serverFrame(Opcode.CONTINUATION, "three ", { final: false }),
    serverFrame(Opcode.PING, "between"),
    serverFrame(Opcode.CONTINUATION, "x".repeat(300)),
    serverFrame(Opcode.PONG, "unasked"),
    serverFrame(Opcode.BINARY, ""),
    serverFrame(Opcode.PING),
    serverFrame(Opcode.BINARY, "y".repeat(70_000)),
    serverFrame(Opcode.CLOSE, concat(Uint8Array.of(0x03, 0xe9), utf8("bye"))),
  );
  const expected = [
    "data first in three ",
    "ping between",
    `data ${"x".repeat(300)}`,
    "ping ",
    `data ${"y".repeat(70_000)}`,
    "close 1001 bye",
  ];
  assertEquals(told(bytes), expected);
  await forSeeds(50, (random) => {
    assertEquals(
      toldOf(random.split(bytes, random.pick([1, 3, 2_000]))),
      expected,
    );
  });
});

Deno.test("WebSocket frames: nothing is told after CLOSE", () => {
  assertEquals(
    told(serverFrame(Opcode.CLOSE), serverFrame(Opcode.BINARY, "late")),
    ["close 1005 "],
  );
});

const HOSTILE: Record<string, [Uint8Array, string]> = {
  "text": [serverFrame(Opcode.TEXT, "{}"), "a message of text came"],
  "a frame that is masked": [
    serverFrame(Opcode.BINARY, "12345", { masked: true }),
    "the server masked a frame",
  ],
  "a frame that is compressed": [
    serverFrame(Opcode.BINARY, "12345", { bits: 0x40 }),
    "a frame uses an extension",
  ],
  "an unknown type": [serverFrame(3), "a frame has the unknown type 3"],
  "more of a message that never began": [
    serverFrame(Opcode.CONTINUATION, "more"),
    "out of turn",
  ],
  "a message inside another": [
    concat(
      serverFrame(Opcode.BINARY, "one", { final: false }),
      serverFrame(Opcode.BINARY, "two"),
    ),
    "out of turn",
  ],
  "a PING in parts": [
    serverFrame(Opcode.PING, "x", { final: false }),
    "a control frame is too long",
  ],
  "a PING of 126 bytes": [
    serverFrame(Opcode.PING, "x".repeat(126)),
    "a control frame is too long",
  ],
  "a CLOSE with half a code": [
    serverFrame(Opcode.CLOSE, "x"),
    "CLOSE has half a code",
  ],
  "a length of 2^63": [
    fromHex("827f8000000000000000"),
    "a frame of 9223372036854776000 bytes was announced",
  ],
};

for (const [what, [bytes, message]] of Object.entries(HOSTILE)) {
  Deno.test(`WebSocket frames: ${what} is a protocol error`, () => {
    const error = assertThrows(() => told(bytes), MuxError, message);
    assertEquals(error.code, "protocol-error");
  });
}
