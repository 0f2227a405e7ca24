import { assert, assertEquals, assertThrows } from "@std/assert";
import { forSeeds } from "../../../tests/support/random.ts";
import {
  clientFrame,
  parseClientFrame,
  parseServerFrame,
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
import { FrameReader, FrameWriter, Opcode } from "./frames.ts";

// --- Writing -----------------------------------------------------------------

for (
  const [end, masks, parse] of [
    ["a client", true, parseClientFrame],
    ["a server", false, parseServerFrame],
  ] as const
) {
  Deno.test(`FrameWriter: encodes payloads of every form of length for ${end}`, () => {
    const frames = new FrameWriter(masks);
    for (const length of [0, 1, 3, 4, 125, 126, 127, 65_535, 65_536, 300_001]) {
      const payload = Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8));
      // The payload need not be aligned in its buffer.
      const shifted = new Uint8Array(length + 1).subarray(1);
      shifted.set(payload);
      const bytes = frames.frame(Opcode.BINARY, shifted);
      const { frame, rest } = parse(bytes)!;
      assertEquals(frame.opcode, Opcode.BINARY);
      assertEquals(rest.length, 0);
      assertEquals(toHex(frame.payload), toHex(payload));
      assertEquals(
        toHex(shifted),
        toHex(payload),
        "the payload is not changed",
      );
    }
  });
}

Deno.test("FrameWriter: uses a new masking key for each frame", () => {
  const frames = new FrameWriter(true);
  const keys = new Set<string>();
  for (let i = 0; i < 500; i++) {
    const bytes = frames.frame(Opcode.BINARY, new Uint8Array(1));
    keys.add(toHex(parseClientFrame(bytes)!.frame.key));
  }
  // Two of 500 keys are equal by chance with a probability of 1 in 30,000.
  assert(keys.size >= 499, `${keys.size} keys`);
});

Deno.test("FrameWriter: releases a large buffer once frames are small again", () => {
  const frames = new FrameWriter(true);
  const room = (length: number) =>
    frames.frame(Opcode.BINARY, new Uint8Array(length)).buffer.byteLength;
  assert(room(100_000) >= 100_000);
  let last = 0;
  for (let i = 0; i < 100; i++) last = room(10);
  assertEquals(last, 4 * 1024);
});

Deno.test("FrameWriter: the buffer that replaces a large one holds the frame", () => {
  const frames = new FrameWriter(true);
  frames.frame(Opcode.BINARY, new Uint8Array(100_000));
  // Less than a quarter of the buffer, and more than the smallest one.
  const payload = new Uint8Array(20_000).fill(7);
  for (let i = 0; i < 200; i++) {
    const bytes = frames.frame(Opcode.BINARY, payload);
    assertEquals(parseClientFrame(bytes)!.frame.payload, payload);
  }
});

// --- Reading -----------------------------------------------------------------

/** The events for these chunks, one line each; a server's frames are not masked. */
function eventsOf(chunks: Uint8Array[], masked = false): string[] {
  const events: string[] = [];
  let pieces: string[] = [];
  const add = (event?: string) => {
    if (pieces.length > 0) events.push(`data ${pieces.join("")}`);
    pieces = [];
    if (event !== undefined) events.push(event);
  };
  const reader = new FrameReader({
    onData: (piece) => pieces.push(text(piece)),
    onPing: (payload) => add(`ping ${text(payload)}`),
    onClose: (code, reason) => add(`close ${code} ${reason}`),
  }, masked);
  for (const chunk of chunks) {
    // A chunk with many frames is read in several steps.
    for (let at = 0, read = 1; read > 0; at += read) {
      read = reader.push(chunk.subarray(at));
    }
  }
  add();
  return events;
}

Deno.test("FrameReader: reads the examples of RFC 6455, section 5.7", () => {
  assertEquals(eventsOf([fromHex("890548656c6c6f")]), ["ping Hello"]);
  const dot = ".".charCodeAt(0);
  for (
    const [head, length] of [["827e0100", 256], [
      "827f0000000000010000",
      65_536,
    ]] as const
  ) {
    const bytes = concat(fromHex(head), new Uint8Array(length).fill(dot));
    assertEquals(eventsOf([bytes]), [`data ${".".repeat(length)}`]);
  }
});

for (
  const [end, frame] of [["server", serverFrame], [
    "client",
    clientFrame,
  ]] as const
) {
  Deno.test(`FrameReader: reads the same from the bytes of a ${end} in any chunks`, async () => {
    const masked = end === "client";
    const all = () =>
      concat(
        frame(Opcode.BINARY, "first "),
        frame(Opcode.BINARY, "in ", { final: false }),
        frame(Opcode.CONTINUATION, "three ", { final: false }),
        frame(Opcode.PING, "between"),
        frame(Opcode.CONTINUATION, "x".repeat(300)),
        frame(Opcode.PONG, "unsolicited"),
        frame(Opcode.BINARY, ""),
        frame(Opcode.PING),
        frame(Opcode.BINARY, "y".repeat(70_000)),
        frame(Opcode.CLOSE, concat(Uint8Array.of(0x03, 0xe9), utf8("bye"))),
      );
    const expected = [
      "data first in three ",
      "ping between",
      `data ${"x".repeat(300)}`,
      "ping ",
      `data ${"y".repeat(70_000)}`,
      "close 1001 bye",
    ];
    assertEquals(eventsOf([all()], masked), expected);
    await forSeeds(50, (random) => {
      // The payload is unmasked in place, wherever that is.
      const bytes = concat(new Uint8Array(random.int(0, 7)), all());
      const chunks = random.split(
        bytes.subarray(bytes.length - all().length),
        random.pick([1, 3, 50, 2_000]),
      );
      assertEquals(eventsOf(chunks, masked), expected);
    });
  });
}

Deno.test("FrameReader: stops after many frames, so that the event loop can turn", () => {
  let pieces = 0;
  const reader = new FrameReader({
    onData: () => pieces++,
    onPing() {},
    onClose() {},
  }, false);
  const frame = serverFrame(Opcode.BINARY, "x");
  const chunk = concat(...Array.from({ length: 3_000 }, () => frame));
  let steps = 0;
  for (let at = 0; at < chunk.length; steps++) {
    at += reader.push(chunk.subarray(at));
    assert(pieces <= 512 * (steps + 1), `${pieces} after ${steps + 1} steps`);
  }
  assertEquals([pieces, steps], [3_000, 6]);
});

Deno.test("FrameReader: CLOSE is the last event", () => {
  assertEquals(
    eventsOf([
      serverFrame(Opcode.CLOSE),
      serverFrame(Opcode.BINARY, "late"),
    ]),
    ["close 1005 "],
  );
});

const HOSTILE: Record<string, [Uint8Array, string]> = {
  "text": [serverFrame(Opcode.TEXT, "{}"), "received a text message"],
  "a masked frame": [
    serverFrame(Opcode.BINARY, "12345", { masked: true }),
    "received a masked frame from the server",
  ],
  "a compressed frame": [
    serverFrame(Opcode.BINARY, "12345", { bits: 0x40 }),
    "received a frame of an extension that was not negotiated",
  ],
  "an unknown type": [serverFrame(3), "received a frame of unknown type 3"],
  "a continuation without a message": [
    serverFrame(Opcode.CONTINUATION, "more"),
    "received a continuation without a message",
  ],
  "a message inside another": [
    concat(
      serverFrame(Opcode.BINARY, "one", { final: false }),
      serverFrame(Opcode.BINARY, "two"),
    ),
    "received a new message before the end of the last",
  ],
  "a fragmented PING": [
    serverFrame(Opcode.PING, "x", { final: false }),
    "received a control frame that is fragmented or too long",
  ],
  "a PING of 126 bytes": [
    serverFrame(Opcode.PING, "x".repeat(126)),
    "received a control frame that is fragmented or too long",
  ],
  "a CLOSE with half a code": [
    serverFrame(Opcode.CLOSE, "x"),
    "received CLOSE with half a status code",
  ],
  "a length of 2^63": [
    fromHex("827f8000000000000000"),
    "received a frame of 9223372036854776000 bytes",
  ],
};

Deno.test("FrameReader: a frame of a client that is not masked is a protocol error", () => {
  const error = assertThrows(
    () => eventsOf([serverFrame(Opcode.BINARY, "12345")], true),
    MuxError,
    "received a frame from the client that is not masked",
  );
  assertEquals(error.code, "protocol-error");
});

for (const [what, [bytes, message]] of Object.entries(HOSTILE)) {
  Deno.test(`FrameReader: ${what} is a protocol error`, () => {
    const error = assertThrows(() => eventsOf([bytes]), MuxError, message);
    assertEquals(error.code, "protocol-error");
  });
}
