import { assert, assertEquals } from "@std/assert";
import { saidOn, scripted } from "../../tests/conformance/scripted.ts";
import { assertCode, failure } from "../../tests/conformance/session_pair.ts";
import { adjust, open, utf8 } from "../../tests/support/wire.ts";
import { isRawChannel } from "./channel_pipe.ts";

scripted(
  "channel.close(): sends no EOF while the stream holds writes that it has not passed on",
  async (script) => {
    // The first write goes out at once; the stream passes on the second later.
    const { channel } = await script.accepted({ number: 5, window: 100 });
    const writer = channel.writable.getWriter();
    const first = writer.write(utf8("a"));
    await first;
    const late = [writer.write(utf8("b")), writer.write(utf8("c"))];
    const ends = late.map((write) => write.catch(() => {}));
    await channel.close();
    await Promise.all(ends);
    writer.closed.catch(() => {});
    assertEquals(await saidOn(script, 5), { bytes: "ab", ends: ["close"] });
  },
);

scripted(
  "channel.close(): sends EOF after writes that the stream has passed on",
  async (script) => {
    const { channel } = await script.accepted({ number: 5, window: 100 });
    const writer = channel.writable.getWriter();
    writer.closed.catch(() => {});
    await writer.write(utf8("a"));
    await writer.write(utf8("b"));
    await channel.close();
    assertEquals(await saidOn(script, 5), {
      bytes: "ab",
      ends: ["eof", "close"],
    });
  },
);

scripted(
  "writable: large chunks of one turn share a DATA frame, up to the maximum packet size",
  async (script) => {
    const accepting = script.session[Symbol.asyncIterator]().next();
    await script.raw.send(open(5, 1024 * 1024, 50_000));
    const channel = (await accepting).value!;
    const writer = channel.writable.getWriter();
    for (let i = 0; i < 3; i++) {
      void writer.write(new Uint8Array(20_000));
    }
    await writer.close();
    const sizes = (await script.saidButCredit()).flatMap((frame) =>
      frame.type === "data" ? frame.payload.length : []
    );
    assertEquals(sizes, [40_000, 20_000]);
  },
);

for (const method of ["closeWrite", "shutdown"] as const) {
  scripted(
    `channel.${method}(): sends EOF after the chunks that the stream holds, and nothing of what is written later`,
    async (script) => {
      const { channel, id } = await script.accepted({ number: 5, window: 2 });
      assert(isRawChannel(channel));
      const writer = channel.writable.getWriter();
      writer.closed.catch(() => {});
      const writes = ["a", "bb", "c"].map((chunk) => writer.write(utf8(chunk)));
      await writes[0];
      channel[method]();
      const late = writer.write(utf8("late")).catch((error) => error);
      assertEquals(await saidOn(script, 5), { bytes: "ab", ends: [] });
      await script.raw.send(adjust(id, 100));
      await Promise.all(writes);
      assertCode(await late, "channel-closed");
      const ends = method === "shutdown" ? ["eof", "close"] : ["eof"];
      assertEquals(await saidOn(script, 5), { bytes: "bc", ends });
    },
  );
}

scripted(
  "channel.closeWrite(): sends no EOF if the channel is closed while the stream holds chunks",
  async (script) => {
    const { channel } = await script.accepted({ number: 5, window: 1 });
    assert(isRawChannel(channel));
    const writer = channel.writable.getWriter();
    writer.closed.catch(() => {});
    const writes = ["a", "b", "c"].map((chunk) =>
      writer.write(utf8(chunk)).catch(() => {})
    );
    await writes[0];
    channel.closeWrite();
    await channel.close();
    await Promise.all(writes);
    assertEquals(await saidOn(script, 5), { bytes: "a", ends: ["close"] });
  },
);

scripted(
  "channel.closeWrite(): what the stream has refused after its close() does not hold up EOF",
  async (script) => {
    const { channel } = await script.accepted({ number: 5, window: 100 });
    const writer = channel.writable.getWriter();
    const written = [writer.write(utf8("a")), writer.write(utf8("b"))];
    const closed = writer.close();
    await failure(writer.write(utf8("late")));
    await Promise.all([...written, closed]);
    assertEquals(await saidOn(script, 5), { bytes: "ab", ends: ["eof"] });
  },
);

scripted(
  "channel.holdEnd(): EOF waits until it is released, and close() sends none",
  async (script) => {
    const { channel } = await script.accepted({ number: 5, window: 100 });
    assert(isRawChannel(channel));
    const releases = [channel.holdEnd(), channel.holdEnd()];
    channel.closeWrite();
    releases[0]!();
    releases[0]!();
    channel.send(utf8("a"));
    assertEquals(await saidOn(script, 5), { bytes: "a", ends: [] });
    releases[1]!();
    assertEquals(await saidOn(script, 5), { bytes: "", ends: ["eof"] });

    const other = (await script.accepted({ number: 6, window: 100 })).channel;
    assert(isRawChannel(other));
    const release = other.holdEnd();
    await other.close();
    release();
    assertEquals(await saidOn(script, 6), { bytes: "", ends: ["close"] });
  },
);
