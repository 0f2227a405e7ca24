import { assert, assertEquals } from "@std/assert";
import { assertUsage } from "../support/usage.ts";
import { turn, watch } from "../support/within.ts";
import {
  assertCode,
  assertFails,
  failure,
  openPipes,
  type SessionTest,
} from "./session_pair.ts";

const SMALL = { initialWindowSize: 1_000, maxWindowSize: 1_000 };
const FLOOD = new Uint8Array(100_000);

/** How sessions end. */
export function testEnding(test: SessionTest): void {
  test(
    "close() releases everybody who waits, here with session-closed, there with connection-lost",
    async (lab) => {
      // The line of control is opened before opens begin to wait.
      await lab.sync();
      const idle = await openPipes(lab);
      const writing = await openPipes(lab);
      const reading = await openPipes(lab);
      const outcomes = [lab.a, lab.b].map((session, side) => ({
        write: failure(writing[side]!.write(FLOOD)),
        read: failure(reading[side]!.reader.read()),
        open: failure(session.open()),
        channelClosed: failure(idle[side]!.channel.closed),
        writerClosed: failure(idle[side]!.writer.closed),
        readerClosed: failure(reading[side]!.reader.closed),
      }));
      await lab.sync();
      await lab.a.close();
      await lab.b.closed;
      const codes = ["session-closed", "connection-lost"] as const;
      for (const [side, waits] of outcomes.entries()) {
        for (const outcome of Object.values(waits)) {
          assertCode(await outcome, codes[side]!);
        }
      }
    },
    { a: SMALL, b: SMALL },
  );

  test("closed resolves on both sides when either closes", async (lab) => {
    const watched = [lab.a.closed, lab.b.closed].map(watch);
    await lab.sync();
    assertEquals(watched.map(({ state }) => state), ["pending", "pending"]);
    await lab.b.close();
    await Promise.all([lab.a.closed, lab.b.closed]);
  });

  test("close() may be called any number of times, by both sides at once, and after the end", async (lab) => {
    await openPipes(lab);
    await Promise.all([
      lab.a.close(),
      lab.b.close(),
      lab.a.close(),
      lab.b.close(),
    ]);
    await Promise.all([lab.a.closed, lab.b.closed]);
    await Promise.all([lab.a.close(), lab.b.close()]);
    for (const session of [lab.a, lab.b]) {
      assertUsage(session, { channels: 0, slots: 0 });
    }
  });

  test("a session ends with its block under await using", async (lab) => {
    {
      await using session = lab.a;
      assert(session);
    }
    await Promise.all([lab.a.closed, lab.b.closed]);
    await assertFails(lab.a.open(), "session-closed");
  });

  test(
    "what was written before close() arrives before the end",
    async (lab) => {
      const [a, b] = await openPipes(lab);
      const size = 2_000_000;
      const chunk = new Uint8Array(10_000).fill(0x61);
      for (let sent = 0; sent < size; sent += chunk.length) {
        await a.write(chunk);
      }
      await lab.a.close();
      const { text, error } = await b.rest();
      assertEquals(text.length, size);
      assertCode(error, "connection-lost");
    },
    { b: { initialWindowSize: 4_000_000 } },
  );

  test("channels that are closed before their session end cleanly", async (lab) => {
    const [a, b] = await openPipes(lab);
    await a.write("the end");
    await a.channel.close();
    await lab.a.close();
    assertEquals(await b.rest(), { text: "the end", error: undefined });
    await Promise.all([a.channel.closed, b.channel.closed]);
  });

  test("an ended session opens nothing, accepts nothing, and says why", async (lab) => {
    await lab.sync();
    await lab.a.close();
    await lab.b.closed;
    await assertFails(lab.a.open(), "session-closed");
    await assertFails(lab.b.open(), "connection-lost");
    for (const session of [lab.a, lab.b]) {
      for await (const _ of session) throw new Error("a channel came");
    }
  });

  test("a channel of an ended session cannot be written, and closing it is harmless", async (lab) => {
    const [a, b] = await openPipes(lab);
    await lab.a.close();
    await lab.b.closed;
    await assertFails(a.write("x"), "session-closed");
    await assertFails(b.write("x"), "connection-lost");
    for (const { channel } of [a, b]) {
      await channel.close();
      await channel.close();
    }
  });

  test("streams that are first asked for after the end know of it", async (lab) => {
    const [here, there] = await lab.open();
    const [closedHere, closedThere] = await lab.open();
    await closedHere.close();
    await lab.sync();
    await lab.a.close();
    await lab.b.closed;
    const read = async (readable: ReadableStream<Uint8Array>) =>
      await failure(readable.getReader().read());
    assertCode(await read(here.readable), "session-closed");
    assertCode(await read(there.readable), "connection-lost");
    assertEquals((await closedThere.readable.getReader().read()).done, true);
    for (const channel of [here, there, closedHere, closedThere]) {
      await failure(channel.writable.getWriter().write(new Uint8Array(1)));
    }
    await assertFails(there.closed, "connection-lost");
    await closedThere.closed;
  });

  test("nobody has to look at closed, whichever way a session or channel ends", async (lab) => {
    // Unhandled rejections fail the test that runs when they come.
    const [here, there] = await lab.open();
    const opened = [
      here.readable,
      here.writable,
      there.readable,
      there.writable,
    ];
    assertEquals(opened.length, 4);
    void here.closed;
    void there.closed;
    void lab.a.closed;
    void lab.b.closed;
    await lab.a.close();
    await turn();
    await turn();
  });
}
