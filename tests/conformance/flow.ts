import { createHash } from "node:crypto";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import type { Channel } from "../../mux/types.ts";
import { text, utf8 } from "../support/wire.ts";
import { watch } from "../support/within.ts";
import { openPipes, Pipe, type SessionTest } from "./session_pair.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes that differ from place to place, so that none can be swapped. */
function pattern(size: number, seed = 0): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i + seed) * 31 + (i >>> 11);
  return bytes;
}

/** Sends back what comes, until either side has enough. */
function echo({ readable, writable }: Channel): void {
  readable.pipeTo(writable).catch(() => {});
}

/** Credit, backpressure and fairness. */
export function testFlow(test: SessionTest): void {
  test(
    "a write() beyond the peer's window waits until the peer's reader takes",
    async (lab) => {
      const [a, b] = await openPipes(lab);
      const writing = a.write(pattern(1_500));
      const watched = watch(writing);
      for (let i = 0; i < 3; i++) await lab.sync();
      assertEquals(watched.state, "pending");
      assertEquals(await b.read(1_000), pattern(1_500).subarray(0, 1_000));
      await writing;
      assertEquals(await b.read(500), pattern(1_500).subarray(1_000));
    },
    { b: { initialWindowSize: 1_000, maxWindowSize: 1_000 } },
  );

  test("bytes that arrived and were not read return no credit", async (lab) => {
    const [a, b] = await openPipes(lab);
    await a.write(pattern(1_000));
    const writing = watch(a.write("x"));
    // Asking for the stream, locking it, and leaving it be is not reading.
    assert(b.channel.readable.locked);
    for (let i = 0; i < 3; i++) await lab.sync();
    assertEquals(writing.state, "pending");
  }, { b: { initialWindowSize: 1_000, maxWindowSize: 1_000 } });

  test(
    "a reader that stops holds up its own channel and no other",
    async (lab) => {
      const [stuck] = await openPipes(lab);
      const [a, b] = await openPipes(lab);
      const writing = watch(stuck.write(pattern(100 * KIB)));
      const sent = a.write(pattern(100 * KIB));
      assertEquals(await b.read(100 * KIB), pattern(100 * KIB));
      await sent;
      assertEquals(writing.state, "pending");
    },
    { b: { initialWindowSize: 1_000, maxWindowSize: 1_000 } },
  );

  test(
    "chunks of any size come out in their order, larger than packet and window",
    async (lab) => {
      const [a, b] = await openPipes(lab);
      const sizes = [1, 8, 9, 10, 99, 0, 100, 101, 1_000, 7, 4_999];
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const all = pattern(total);
      const writing = (async () => {
        let at = 0;
        for (const size of sizes) {
          await a.write(all.subarray(at, at += size));
        }
        await a.writer.close();
      })();
      assertEquals(await b.read(total), all);
      await writing;
      assertEquals((await b.rest()).text, "");
    },
    { b: { initialWindowSize: 100, maxWindowSize: 100, maxPacketSize: 9 } },
  );

  test("an empty write resolves and sends nothing", async (lab) => {
    const [a, b] = await openPipes(lab);
    await a.write(new Uint8Array(0));
    await a.write("x");
    const { value } = await b.reader.read();
    assertEquals(value, utf8("x"));
  });

  test("a chunk that was written is the writer's again", async (lab) => {
    const [a, b] = await openPipes(lab);
    // A small chunk is copied at once. A large one waits in its channel, and leaves
    // in several writes of the transport, whose buffers are filled again.
    for (const size of [4, 300 * KIB]) {
      const reading = b.read(8 * size);
      const buffer = new Uint8Array(size);
      for (let i = 1; i <= 8; i++) await a.write(buffer.fill(i));
      buffer.fill(0);
      const bytes = await reading;
      // Not assertEquals: its message would be megabytes long.
      assert(bytes.every((byte, at) => byte === 1 + Math.floor(at / size)));
    }
  });

  test("a chunk that was read is the reader's to keep, and to give away", async (lab) => {
    const [a, b] = await openPipes(lab);
    const kept: Uint8Array[] = [];
    for (const word of ["kept", "gone", "last"]) {
      await a.write(word);
      const { value } = await b.reader.read();
      assert(value !== undefined);
      if (word === "gone") structuredClone(value, { transfer: [value.buffer] });
      else kept.push(value);
    }
    assertEquals(kept.map(text), ["kept", "last"]);
  });

  test("a chunk that is no Uint8Array is refused, and its channel closed", async (lab) => {
    const [a, b] = await openPipes(lab);
    const writing = a.writer.write("text" as never);
    const error = await writing.catch((error) => error);
    assert(error instanceof TypeError, String(error));
    assertEquals(await b.rest(), { text: "", error: undefined });
    await b.channel.closed;
    await a.channel.closed;
  });

  test("streams of channels work with pipeTo(), pipeThrough() and for await", async (lab) => {
    const [there, here] = await lab.open();
    const answering = here.readable
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(
        new TransformStream<string, string>({
          transform: (chunk, out) => out.enqueue(chunk.toUpperCase()),
        }),
      )
      .pipeThrough(new TextEncoderStream())
      .pipeTo(here.writable);
    const asking = ReadableStream.from(["a word", " and another"].map(utf8))
      .pipeTo(there.writable);
    let answer = "";
    for await (const chunk of there.readable) answer += text(chunk);
    assertEquals(answer, "A WORD AND ANOTHER");
    await Promise.all([asking, answering, there.closed, here.closed]);
  });

  test("64 MiB are echoed whole", async (lab) => {
    const [there, here] = await lab.open();
    const echo = here.readable.pipeTo(here.writable);
    const block = pattern(256 * KIB);
    const blocks = 64 * MIB / block.length;
    const sent = createHash("sha256");
    const sending = (async () => {
      const writer = there.writable.getWriter();
      for (let i = 0; i < blocks; i++) {
        // No two blocks alike, so that none can take another's place.
        new DataView(block.buffer).setUint32(i % 1_000, i);
        sent.update(block);
        await writer.write(block);
      }
      await writer.close();
    })();
    const received = createHash("sha256");
    let size = 0;
    for await (const chunk of there.readable) {
      received.update(chunk);
      size += chunk.length;
    }
    await Promise.all([sending, echo]);
    assertEquals(size, 64 * MIB);
    assertEquals(received.digest("hex"), sent.digest("hex"));
    await Promise.all([there.closed, here.closed]);
  });

  test(
    "500 channels at once carry each its own bytes, both ways",
    async (lab) => {
      lab.b.accept((channel) => echo(channel));
      const size = 3_000;
      await Promise.all(Array.from({ length: 500 }, async (_, i) => {
        const pipe = new Pipe(await lab.a.open());
        const bytes = pattern(size, i);
        const writing = pipe.write(bytes).then(() => pipe.writer.close());
        assertEquals(await pipe.read(size), bytes);
        await writing;
        assertEquals((await pipe.rest()).text, "");
        await pipe.channel.closed;
      }));
    },
    { b: { initialWindowSize: 1_000, backlog: 500 } },
  );

  test(
    "1,000 channels one after the other leave no place taken",
    async (lab) => {
      lab.b.accept((channel) => echo(channel));
      for (let i = 0; i < 1_000; i++) {
        const pipe = new Pipe(await lab.a.open());
        await pipe.write("x");
        assertEquals((await pipe.read(1)).length, 1);
        await pipe.channel.close();
      }
    },
    { a: { maxChannels: 3 }, b: { maxChannels: 3 } },
  );

  test("bulk on one channel shares the line with bulk on another, whatever their chunks", async (lab) => {
    const [first, second] = await Promise.all([lab.open(), lab.open()]);
    const read = { small: 0, large: 0 };
    const done = Promise.withResolvers<void>();
    const count = async (channel: Channel, name: keyof typeof read) => {
      const reader = channel.readable.getReader();
      for (;;) {
        const { done: ended, value } = await reader.read();
        if (ended) return;
        read[name] += value.length;
        if (read.small + read.large >= 32 * MIB) done.resolve();
      }
    };
    const offer = async (channel: Channel, size: number) => {
      const writer = channel.writable.getWriter();
      const chunk = new Uint8Array(size);
      while (await writer.write(chunk).then(() => true, () => false));
    };
    const all = [
      count(first[1], "small"),
      count(second[1], "large"),
      offer(first[0], 64 * KIB),
      offer(second[0], 4 * MIB),
    ];
    await done.promise;
    await Promise.all([first[0].close(), second[0].close()]);
    await Promise.all(all);
    const ratio = Math.max(read.small, read.large) /
      Math.min(read.small, read.large);
    assertLessOrEqual(ratio, 6, JSON.stringify(read));
  });

  test("a small message does not wait behind bulk", async (lab) => {
    const [bulk] = await openPipes(lab);
    const [a, b] = await openPipes(lab);
    const flood = bulk.write(new Uint8Array(32 * MIB));
    const watched = watch(flood);
    for (let trips = 0; trips < 5; trips++) {
      await a.write("ping");
      await b.read(4);
      await b.write("pong");
      await a.read(4);
      assertEquals(watched.state, "pending", `after ${trips} round trips`);
    }
    await bulk.channel.close();
    await flood.catch(() => {});
  }, { b: { initialWindowSize: 32 * MIB } });
}
