import { assert, assertEquals } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import {
  close,
  concat,
  eof,
  FrameCollector,
  open,
  utf8,
} from "../../../tests/support/wire.ts";
import { turn, until, within } from "../../../tests/support/within.ts";
import { quicSession } from "../session.ts";
import type { Session } from "../../types.ts";
import { FRAMED_PROTOCOL, PLAIN_PROTOCOL } from "../protocol.ts";
import type { QuicConnLike, QuicStreamLike } from "../types.ts";
import type { StreamHost } from "./channel_stream.ts";
import { FramedStream } from "./framed_stream.ts";
import { SendRoom, type WaitingStream } from "./send_room.ts";
import { SharedBuffers } from "./shared_buffers.ts";
import { ReadBuffers } from "./stream_reader.ts";

/** Streams of a peer, and bytes of each direction. */
const STREAMS = 200, SIZE = 200_000;
/** What may be queued together: the room, and one frame more with its header. */
const MOST = 4 * 1024 * 1024 + 66_560 + 9;
/** What each stream to qtalk-go may have beside that. */
const LEAST = 4 * 1024;

/**
 * A connection whose peer opens channels, in either dialect, and reads nothing of each
 * until it is told to.
 */
function unreadConnection(protocol: string) {
  const isFramed = protocol === FRAMED_PROTOCOL;
  const closed = Promise.withResolvers<{ closeCode: number; reason: string }>();
  const figures = { written: 0, received: 0, ended: 0 };
  const reading: PromiseWithResolvers<void>[] = [];
  const stream = (): QuicStreamLike => {
    const readsNow = Promise.withResolvers<void>();
    reading.push(readsNow);
    let answer = (_bytes: Uint8Array) => {};
    const frames = new FrameCollector((frame) => {
      if (frame.type === "data") figures.received += frame.payload.length;
      else if (frame.type === "eof") answer(concat(eof(0), close(0)));
    });
    return {
      readable: new ReadableStream({
        type: "bytes",
        start(controller) {
          const begin = isFramed ? open(0, 2 ** 30, 2 ** 24) : utf8("!");
          controller.enqueue(begin.slice());
          answer = (bytes) => {
            if (bytes.length > 0) controller.enqueue(bytes.slice());
            controller.close();
            // A read may wait.
            controller.byobRequest?.respond(0);
          };
        },
      }),
      writable: new WritableStream<Uint8Array>({
        async write(bytes) {
          figures.written += bytes.length;
          await readsNow.promise;
          if (isFramed) frames.push(bytes);
          else figures.received += bytes.length;
        },
        close() {
          figures.ended++;
          if (!isFramed) answer(new Uint8Array(0));
        },
      }),
    } as unknown as QuicStreamLike;
  };
  const conn = {
    protocol,
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
  const read = (count: number) => {
    for (const { resolve } of reading.slice(0, count)) resolve();
  };
  return { conn, figures, read };
}

/** A session that writes to all of the streams, and ends them. */
function writingSession(
  t: { watch(session: Session): Session },
  conn: QuicConnLike,
): Promise<void>[] {
  // To qtalk-go, a session has a channel for each 1.25 MB of it.
  const maxHeldSize = STREAMS * 1_250_000;
  const session = t.watch(quicSession(conn, { closeTimeout: 0, maxHeldSize }));
  const writing: Promise<void>[] = [];
  session.accept((channel) => {
    const writer = channel.writable.getWriter();
    writing.push(writer.write(new Uint8Array(SIZE)));
    writing.push(writer.close());
  });
  return writing;
}

for (const protocol of [FRAMED_PROTOCOL, PLAIN_PROTOCOL]) {
  test(`quicSession(): streams of which a peer reads nothing wait for each other, and lose nothing (${protocol})`, async (t) => {
    const { conn, figures, read } = unreadConnection(protocol);
    const writing = writingSession(t, conn);
    await until(() => writing.length === 2 * STREAMS);
    await until(() => figures.written > MOST - 200_000);
    for (let i = 0; i < 100; i++) await turn();
    const most = MOST + STREAMS * (protocol === PLAIN_PROTOCOL ? LEAST : 100);
    assert(figures.written <= most, String(figures.written));
    read(STREAMS);
    await Promise.all(writing);
    await until(() => figures.ended === STREAMS);
    assertEquals(figures.received, STREAMS * SIZE);
  });
}

test("quicSession(): to qtalk-go, a stream that is read goes on beside any number that are not", async (t) => {
  const { conn, figures, read } = unreadConnection(PLAIN_PROTOCOL);
  const writing = writingSession(t, conn);
  await until(() => writing.length === 2 * STREAMS);
  await until(() => figures.written > MOST - 200_000);
  read(1);
  await until(() => figures.ended === 1);
  assertEquals(figures.received, SIZE);
  read(STREAMS);
  await Promise.all(writing);
  await until(() => figures.ended === STREAMS);
});

/** A room that says which streams wait. */
class WatchedRoom extends SendRoom {
  readonly waiting = new Set<WaitingStream>();

  override wait(stream: WaitingStream): void {
    this.waiting.add(stream);
    super.wait(stream);
  }

  override leave(stream: WaitingStream): void {
    this.waiting.delete(stream);
    super.leave(stream);
  }
}

/** A stream in a room, whose writes end as told. */
function streamIn(
  sendRoom: SendRoom,
  write: () => Promise<void> = () => Promise.resolve(),
) {
  const host = {
    channels: { lose() {} },
    buffers: new ReadBuffers(),
    sendRoom,
    writeBuffers: new SharedBuffers(),
    maxQueuedReplySize: 1024,
    countSent() {},
    release() {},
    receiveEnded() {},
  } as unknown as StreamHost;
  const stream = new FramedStream(
    1,
    host,
    Promise.resolve({
      readable: new ReadableStream({ type: "bytes" }),
      writable: new WritableStream({ write }),
    } as unknown as QuicStreamLike),
    1,
  );
  const source = {
    remoteId: 0,
    pulled: 0,
    takeCredit: () => 0,
    pull() {
      source.pulled++;
      return false;
    },
  };
  /** Waits for the room, with another frame that leaves at once. */
  const park = () => {
    stream.eof();
    stream.scheduleData(source);
  };
  return { stream, source, park };
}

/** A room without room, and what makes some. */
function fullRoom() {
  const room = new WatchedRoom();
  room.take(4 * 1024 * 1024);
  return { room, free: () => room.give(1024) };
}

test("FramedStream: small values are queued beside a write, and no more than a few KiB", async () => {
  const writing = Promise.withResolvers<void>();
  const { stream } = streamIn(new SendRoom(), () => {
    writing.resolve();
    return new Promise(() => {});
  });
  stream.eof();
  await within(writing.promise, "a write");
  stream.data(new Uint8Array(64));
  assertEquals(stream.hasRoom, true);
  stream.data(new Uint8Array(4 * 1024));
  assertEquals(stream.hasRoom, false);
});

test("SendRoom: a stream whose write does not end keeps no other one waiting", async () => {
  const { room, free } = fullRoom();
  const stalled = streamIn(room, () => new Promise(() => {}));
  stalled.park();
  await until(() => room.waiting.size === 1);
  const next = streamIn(room);
  next.park();
  await until(() => room.waiting.size === 2);
  free();
  await until(() => next.source.pulled === 1);
  assertEquals([stalled.source.pulled, room.waiting.size], [0, 0]);
});

test("SendRoom: a stream that cannot send any more does not wait", async () => {
  const { room } = fullRoom();
  const stopped = Promise.withResolvers<void>();
  const { park } = streamIn(room, () => stopped.promise);
  park();
  await until(() => room.waiting.size === 1);
  const reset = Object.assign(new Error(), { name: "ConnectionReset" });
  stopped.reject(reset);
  await until(() => room.waiting.size === 0);
  assertEquals(room.waiting.size, 0);
});

test("SendRoom: a stream whose channel is closed ends without room", async () => {
  const { room } = fullRoom();
  const { stream, park } = streamIn(room);
  park();
  await until(() => room.waiting.size === 1);
  stream.close(false);
  await within(stream.drain(), "the end of the stream");
  assertEquals(room.waiting.size, 0);
});
