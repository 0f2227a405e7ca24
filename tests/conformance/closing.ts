import { assertEquals, assertStrictEquals } from "@std/assert";
import { watch } from "../support/within.ts";
import {
  assertCode,
  assertFails,
  failure,
  openPipes,
  type SessionTest,
} from "./session_pair.ts";

/** More than any window that these tests set. */
const FLOOD = new Uint8Array(100_000);
/** A window that FLOOD does not fit into. */
const SMALL = { initialWindowSize: 1_000, maxWindowSize: 1_000 };

/**
 * The closing table of mux/SPEC.md, a test for each row, which its name quotes:
 * event | wire | effect. What the wire column says is seen byte by byte in
 * closing_wire_test.ts.
 */
export function testClosing(test: SessionTest): void {
  test("writer.close() | EOF | writable closed, readable stays open", async (lab) => {
    const [a, b] = await openPipes(lab);
    await a.write("all I have");
    await a.writer.close();
    assertEquals(await b.rest(), { text: "all I have", error: undefined });
    await a.writer.closed;
    await failure(a.write("more"));

    await b.write("go on");
    assertEquals(await a.read(5), new TextEncoder().encode("go on"));
    const closed = watch(a.channel.closed);
    await lab.sync();
    assertEquals(closed.state, "pending");
    await b.writer.close();
    assertEquals(await a.rest(), { text: "", error: undefined });
  });

  test(
    "writer.abort(r) | CLOSE | pending writes reject with r; what arrived can still be read",
    async (lab) => {
      const [a, b] = await openPipes(lab);
      await b.write("what arrived");
      await lab.sync();
      const writes = [a.write(FLOOD), a.write("queued after it")];
      const failures = writes.map(failure);
      const reason = new Error("changed my mind");
      await a.writer.abort(reason);
      for (const failed of failures) assertStrictEquals(await failed, reason);
      assertEquals(await a.rest(), { text: "what arrived", error: undefined });
      await a.channel.closed;
      await b.channel.closed;
    },
    { b: SMALL },
  );

  test(
    "readable.cancel(r) | – | what comes in is dropped and its credit returned until EOF or CLOSE, so the peer's writer does not hang",
    async (lab) => {
      const [a, b] = await openPipes(lab);
      const writing = b.write(FLOOD);
      const watched = watch(writing);
      await lab.sync();
      assertEquals(watched.state, "pending");
      await a.reader.cancel("no interest");
      await writing;
      await b.write(FLOOD);
      // The other direction is as it was.
      await a.write("listen");
      assertEquals(await b.read(6), new TextEncoder().encode("listen"));
      await b.writer.close();
      await a.writer.close();
      assertEquals(await b.rest(), { text: "", error: undefined });
      await Promise.all([a.channel.closed, b.channel.closed]);
    },
    { a: SMALL },
  );

  test("both directions closed | CLOSE | closed when CLOSE went both ways", async (lab) => {
    const [a, b] = await openPipes(lab);
    await a.write("question");
    await a.writer.close();
    assertEquals((await b.rest()).text, "question");
    await b.write("answer");
    await b.writer.close();
    assertEquals(await a.rest(), { text: "answer", error: undefined });
    await Promise.all([a.channel.closed, b.channel.closed]);
  });

  test(
    "both directions closed (a cancelled readable counts) | CLOSE, after what write() had accepted | closed when CLOSE went both ways",
    async (lab) => {
      const [a, b] = await openPipes(lab);
      await a.reader.cancel();
      // Accepted by the stream, but waiting for credit.
      const writing = a.write(FLOOD);
      const closing = a.writer.close();
      const { text, error } = await b.rest();
      assertEquals([text.length, error], [FLOOD.length, undefined]);
      await Promise.all([writing, closing]);
      await Promise.all([a.channel.closed, b.channel.closed]);
      await assertFails(b.write("too late"), "channel-closed");
    },
    { b: SMALL },
  );

  test("channel.close() | EOF and CLOSE, after what write() had accepted | close() resolves when CLOSE has gone to the transport, closed when CLOSE went both ways", async (lab) => {
    const [a, b] = await openPipes(lab);
    const chunk = new Uint8Array(10_000).fill(0x61);
    for (let i = 0; i < 5; i++) await a.write(chunk);
    await a.channel.close();
    const { text, error } = await b.rest();
    assertEquals([text, error], ["a".repeat(50_000), undefined]);
    await Promise.all([a.channel.closed, b.channel.closed]);
  });

  test(
    "channel.close() | CLOSE | writes still waiting reject, unread bytes are dropped",
    async (lab) => {
      const [a, b] = await openPipes(lab);
      await b.write("never read");
      await lab.sync();
      const waiting = [a.write(FLOOD), a.write("queued after it")].map(
        failure,
      );
      await lab.sync();
      await a.channel.close();
      for (const failed of waiting) assertCode(await failed, "channel-closed");
      assertEquals(await a.rest(), { text: "", error: undefined });
      await assertFails(a.write("after"), "channel-closed");
      // What the window had let through before is the peer's to read.
      const { text, error } = await b.rest();
      assertEquals([text.length, error], [SMALL.initialWindowSize, undefined]);
      await Promise.all([a.channel.closed, b.channel.closed]);
    },
    { b: SMALL },
  );

  test("peer's EOF | – | readable ends after what is buffered", async (lab) => {
    const [a, b] = await openPipes(lab);
    await b.write("buffered ");
    await b.write("in pieces");
    await b.writer.close();
    await lab.sync();
    assertEquals(await a.rest(), {
      text: "buffered in pieces",
      error: undefined,
    });
    // Nothing else ends with it.
    await a.write("still open");
    assertEquals((await b.read(10)).length, 10);
  });

  test(
    "peer's CLOSE | CLOSE back | readable delivers what is buffered, then ends cleanly; writable errors",
    async (lab) => {
      const [a, b] = await openPipes(lab);
      await b.write("a reply, and no EOF");
      const waiting = failure(a.write(FLOOD));
      await b.channel.close();
      await lab.sync();
      assertCode(await waiting, "channel-closed");
      await assertFails(a.write("more"), "channel-closed");
      await assertFails(a.writer.closed, "channel-closed");
      assertEquals(await a.rest(), {
        text: "a reply, and no EOF",
        error: undefined,
      });
      await Promise.all([a.channel.closed, b.channel.closed]);
    },
    { b: SMALL },
  );

  test(
    "transport ends | – | writable errors; readable of a channel with neither EOF nor CLOSE delivers, then errors with connection-lost; pending opens reject; session.closed resolves if the end came between frames",
    async (lab) => {
      const [open, openThere] = await openPipes(lab);
      const [ended, endedThere] = await openPipes(lab);
      const [closed, closedThere] = await openPipes(lab);
      for (const pipe of [openThere, endedThere, closedThere]) {
        await pipe.write("delivered");
      }
      await endedThere.writer.close();
      await closedThere.channel.close();
      await lab.sync();
      const writing = failure(open.write(FLOOD));
      const opening = failure(lab.a.open());
      await lab.b.close();

      assertCode(await writing, "connection-lost");
      assertCode(await opening, "connection-lost");
      await assertFails(open.write("more"), "connection-lost");
      await assertFails(open.channel.closed, "connection-lost");
      const lost = await open.rest();
      assertEquals(lost.text, "delivered");
      assertCode(lost.error, "connection-lost");
      for (const pipe of [ended, closed]) {
        assertEquals(await pipe.rest(), {
          text: "delivered",
          error: undefined,
        });
      }
      await closed.channel.closed;
      await lab.a.closed;
    },
    { b: SMALL },
  );
}
