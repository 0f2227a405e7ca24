import { assert, assertEquals } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import {
  close,
  concat,
  eof,
  FrameCollector,
  open,
} from "../../../tests/support/wire.ts";
import { turn, until } from "../../../tests/support/within.ts";
import { quicSession } from "../session.ts";
import { FRAMED_PROTOCOL } from "../protocol.ts";
import type { QuicConnLike, QuicStreamLike } from "../types.ts";

/** Streams of a peer, and bytes of each direction. */
const STREAMS = 200, SIZE = 200_000;
/** What may be queued together: the room, and one frame more with its header. */
const MOST = 4 * 1024 * 1024 + 66_560 + 9;

/** A connection whose peer opens channels and reads nothing until it is told to. */
function unreadConnection() {
  const reading = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<{ closeCode: number; reason: string }>();
  const figures = { written: 0, received: 0, ended: 0 };
  const stream = (): QuicStreamLike => {
    let answer = (_bytes: Uint8Array) => {};
    const frames = new FrameCollector((frame) => {
      if (frame.type === "data") figures.received += frame.payload.length;
      else if (frame.type === "eof") answer(concat(eof(0), close(0)));
    });
    return {
      readable: new ReadableStream<Uint8Array<ArrayBuffer>>({
        type: "bytes",
        start(controller) {
          controller.enqueue(open(0, 2 ** 30, 2 ** 24).slice());
          answer = (bytes) => {
            controller.enqueue(bytes.slice());
            controller.close();
          };
        },
      }),
      writable: new WritableStream<Uint8Array>({
        async write(bytes) {
          figures.written += bytes.length;
          await reading.promise;
          frames.push(bytes);
        },
        close: () => void figures.ended++,
      }),
    } as unknown as QuicStreamLike;
  };
  const conn = {
    protocol: FRAMED_PROTOCOL,
    remoteAddr: { hostname: "127.0.0.1", port: 1 },
    closed: closed.promise,
    incomingBidirectionalStreams: ReadableStream.from(
      Array.from({ length: STREAMS }, stream),
    ),
    incomingUnidirectionalStreams: new ReadableStream(),
    createUnidirectionalStream: () => Promise.resolve(new WritableStream()),
    createBidirectionalStream: () => Promise.reject(new Error("not here")),
    close: (info: { closeCode: number; reason: string }) =>
      closed.resolve(info),
  } as unknown as QuicConnLike;
  return { conn, figures, read: reading.resolve };
}

test("quicSession(): streams of which a peer reads nothing wait for each other, and lose nothing", async (t) => {
  const { conn, figures, read } = unreadConnection();
  const session = t.watch(quicSession(conn, { closeTimeout: 0 }));
  const writing: Promise<void>[] = [];
  session.accept((channel) => {
    const writer = channel.writable.getWriter();
    writing.push(writer.write(new Uint8Array(SIZE)));
    writing.push(writer.close());
  });
  await until(() => writing.length === 2 * STREAMS);
  await until(() => figures.written > MOST - 200_000);
  for (let i = 0; i < 100; i++) await turn();
  assert(figures.written <= MOST + 100 * STREAMS, String(figures.written));
  read();
  await Promise.all(writing);
  await until(() => figures.ended === STREAMS);
  assertEquals(figures.received, STREAMS * SIZE);
});
