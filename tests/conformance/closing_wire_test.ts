/**
 * The closing table of mux/SPEC.md once more, with a script at the other end:
 * the frames of its wire column, and that there are no others.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { test } from "../support/harness.ts";
import { adjust, close, data, eof, type Frame, open } from "../support/wire.ts";
import { turn, until, watch } from "../support/within.ts";
import { scripted } from "./scripted.ts";
import { assertCode, failure } from "./session_pair.ts";

const EOF: Frame = { type: "eof", recipient: 5 };
const CLOSE: Frame = { type: "close", recipient: 5 };

/** What may still come for a channel after this side's CLOSE: nothing of it counts. */
function late(id: number): Uint8Array[] {
  return [data(id, "late"), adjust(id, 4), eof(id)];
}

scripted(
  "closing on the wire: writer.close() sends EOF after the DATA, and nothing else",
  async (script) => {
    const { pipe, id } = await script.incoming();
    await pipe.write("last");
    await pipe.writer.close();
    const said = await script.said();
    assertEquals(said.map(({ type }) => type), ["data", "eof"]);
    await script.raw.send(data(id, "reply"));
    assertEquals((await pipe.read(5)).length, 5);
    assertEquals(await script.said(), []);
  },
);

scripted(
  "closing on the wire: EOF waits for the DATA that waits for credit",
  async (script) => {
    const { pipe, id } = await script.incoming({ window: 3 });
    const writing = pipe.write("waiting");
    const closing = pipe.writer.close();
    assertEquals((await script.said()).map(({ type }) => type), ["data"]);
    await script.raw.send(adjust(id, 3));
    assertEquals((await script.said()).map(({ type }) => type), ["data"]);
    await script.raw.send(adjust(id, 3));
    assertEquals((await script.said()).map(({ type }) => type), [
      "data",
      "eof",
    ]);
    await Promise.all([writing, closing]);
  },
);

scripted(
  "closing on the wire: writer.abort() sends CLOSE without EOF, and drops the DATA that waited",
  async (script) => {
    const { pipe, id } = await script.incoming({ window: 3 });
    const writing = failure(pipe.write("waiting"));
    assertEquals((await script.said()).map(({ type }) => type), ["data"]);
    await pipe.writer.abort();
    await writing;
    assertEquals(await script.said(), [CLOSE]);
    await script.raw.send(...late(id), close(id));
    assertEquals(await script.said(), []);
    await pipe.channel.closed;
  },
);

scripted(
  "closing on the wire: readable.cancel() sends nothing, and the credit of what comes from then on",
  async (script) => {
    const { pipe, id } = await script.incoming();
    await pipe.reader.cancel();
    assertEquals(await script.said(), []);
    for (let i = 0; i < 4; i++) {
      await script.raw.send(data(id, new Uint8Array(500)));
    }
    const credit = (await script.said()).reduce(
      (sum, frame) => frame.type === "window-adjust" ? sum + frame.bytes : NaN,
      0,
    );
    assertEquals(credit, 2_000);
    await script.raw.send(eof(id));
    assertEquals(await script.said(), []);
  },
  { initialWindowSize: 1_000, maxWindowSize: 1_000 },
);

scripted(
  "closing on the wire: readable.cancel() returns the credit of what was not read",
  async (script) => {
    const { pipe, id } = await script.incoming();
    await script.raw.send(data(id, new Uint8Array(1_000)));
    assertEquals(await script.said(), []);
    await pipe.reader.cancel();
    assertEquals(await script.said(), [
      { type: "window-adjust", recipient: 5, bytes: 1_000 },
    ]);
  },
  { initialWindowSize: 1_000, maxWindowSize: 1_000 },
);

scripted(
  "closing on the wire: EOF both ways makes CLOSE, in either order",
  async (script) => {
    const first = await script.incoming();
    await first.pipe.writer.close();
    assertEquals(await script.said(), [EOF]);
    await script.raw.send(eof(first.id));
    assertEquals(await script.said(), [CLOSE]);

    const second = await script.incoming();
    await script.raw.send(eof(second.id));
    assertEquals(await script.said(), []);
    await second.pipe.writer.close();
    assertEquals(await script.said(), [EOF, CLOSE]);
  },
);

scripted(
  "closing on the wire: a cancelled readable and EOF make CLOSE",
  async (script) => {
    const first = await script.incoming();
    await first.pipe.reader.cancel();
    await first.pipe.writer.close();
    assertEquals(await script.said(), [EOF, CLOSE]);

    const second = await script.incoming();
    await second.pipe.writer.close();
    await second.pipe.reader.cancel();
    assertEquals(await script.said(), [EOF, CLOSE]);
  },
);

scripted(
  "closing on the wire: channel.close() sends EOF and CLOSE after the DATA that was accepted, and no frame after them",
  async (script) => {
    const { pipe, id } = await script.incoming();
    await script.raw.send(data(id, "unread"));
    await pipe.write("accepted");
    const closed = watch(pipe.channel.closed);
    await pipe.channel.close();
    assertEquals(
      (await script.said()).map(({ type }) => type),
      ["data", "eof", "close"],
    );
    await script.raw.send(...late(id));
    assertEquals(await script.said(), []);
    assertEquals(closed.state, "pending");
    await script.raw.send(close(id));
    assertEquals(await script.said(), []);
    await pipe.channel.closed;
    // The reference sends DATA after its own CLOSE too.
    await script.raw.send(...late(id), close(id));
    assertEquals(await script.said(), []);
  },
);

test("closing on the wire: channel.close() resolves when CLOSE has gone to the transport", async (t) => {
  const { session, raw } = t.script({}, { reading: false });
  const accepting = session[Symbol.asyncIterator]().next();
  await raw.send(open(5));
  const channel = (await accepting).value!;
  const closing = watch(channel.close());
  for (let i = 0; i < 3; i++) await turn();
  assertEquals(closing.state, "pending");
  raw.read();
  assertEquals((await raw.find("close")).recipient, 5);
  await until(() => closing.state !== "pending");
  assertEquals(closing.state, "resolved");
});

scripted(
  "closing on the wire: the peer's EOF is answered by nothing, a second changes nothing, DATA after it is dropped",
  async (script) => {
    const { pipe, id } = await script.incoming();
    await script.raw.send(data(id, "all"), eof(id), eof(id), data(id, "more"));
    await script.raw.send(eof(id));
    assertEquals(await pipe.rest(), { text: "all", error: undefined });
    assertEquals(await script.said(), []);
    await pipe.write("still here");
    assertEquals((await script.said()).map(({ type }) => type), ["data"]);
  },
);

scripted(
  "closing on the wire: the peer's CLOSE is answered by CLOSE, once, and nothing follows",
  async (script) => {
    const { pipe, id } = await script.incoming({ window: 3 });
    const waiting = failure(pipe.write("waiting"));
    assertEquals((await script.said()).map(({ type }) => type), ["data"]);
    await script.raw.send(data(id, "kept"), close(id));
    assertEquals(await script.said(), [CLOSE]);
    assertCode(await waiting, "channel-closed");
    assertEquals(await pipe.rest(), { text: "kept", error: undefined });
    await pipe.channel.closed;
    await pipe.channel.close();
    await script.raw.send(...late(id), close(id));
    assertEquals(await script.said(), []);
  },
);

scripted(
  "closing on the wire: CLOSE that crosses CLOSE needs no answer",
  async (script) => {
    const { pipe, id } = await script.incoming();
    void pipe.channel.close();
    await script.raw.send(close(id));
    assertEquals(await script.said(), [EOF, CLOSE]);
    await pipe.channel.closed;
  },
);
