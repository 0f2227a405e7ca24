/**
 * The habits of qtalk-go that mux/SPEC.md lists, and how this side lives with
 * them. A script speaks as the reference does.
 *
 * @module
 */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { assertUsage } from "../support/usage.ts";
import {
  adjust,
  close,
  confirm,
  data,
  eof,
  failure as openFailure,
  type Frame,
  open,
  text,
  utf8,
} from "../support/wire.ts";
import { until } from "../support/within.ts";
import { scripted, violate } from "./scripted.ts";
import { assertFails, failure } from "./session_pair.ts";

scripted(
  "reference: DATA, EOF and CLOSE may come before the CONFIRM, and the CLOSE is answered after it",
  async (script) => {
    const opening = script.session.open();
    const { sender } = await script.raw.expect("open");
    await script.raw.send(data(sender, "early"), eof(sender), close(sender));
    assertEquals(await script.said(), []);
    await script.raw.send(confirm(sender, 5));
    assertEquals(await script.said(), [{ type: "close", recipient: 5 }]);
    const channel = await opening;
    assertEquals(await new Response(channel.readable).text(), "early");
    await channel.closed;
    await assertFails(
      channel.writable.getWriter().write(utf8("x")),
      "channel-closed",
    );
  },
);

scripted(
  "reference: DATA before the CONFIRM is held to the window that OPEN gave",
  async (script) => {
    void script.session.open().catch(() => {});
    const { sender } = await script.raw.expect("open");
    await violate(script, data(sender, new Uint8Array(101)));
  },
  { initialWindowSize: 100, maxWindowSize: 100 },
);

scripted("reference: credit before the CONFIRM counts", async (script) => {
  const opening = script.session.open();
  const { sender } = await script.raw.expect("open");
  await script.raw.send(adjust(sender, 2), confirm(sender, 5, 1));
  await (await opening).writable.getWriter().write(utf8("abc"));
  const said = await script.said();
  assertEquals(
    said.map((frame) => frame.type === "data" && text(frame.payload)),
    ["abc"],
  );
});

scripted(
  "reference: a channel whose open was given up is closed when its CONFIRM comes, and leaves nothing",
  async (script) => {
    for (const early of [[], [data], [data, eof], [data, eof, close]]) {
      const controller = new AbortController();
      const opening = failure(
        script.session.open({ signal: controller.signal }),
      );
      const { sender } = await script.raw.find("open");
      const before = early.map((frame) => frame(sender, "early"));
      if (before.length > 0) await script.raw.send(...before);
      controller.abort();
      await opening;
      await script.raw.send(confirm(sender, 5), close(sender));
      assertEquals((await script.raw.expect("close")).recipient, 5);
      assertUsage(script.session, { channels: 0, slots: 0 });
    }
  },
  { maxChannels: 1 },
);

scripted(
  "reference: a given-up open that is refused leaves nothing",
  async (script) => {
    const controller = new AbortController();
    const opening = failure(script.session.open({ signal: controller.signal }));
    const { sender } = await script.raw.expect("open");
    await script.raw.send(data(sender, "early"));
    controller.abort();
    await opening;
    await script.raw.send(openFailure(sender));
    assertUsage(script.session, { channels: 0, slots: 0 });
    assertEquals(await script.said(), []);
  },
);

/** The bytes of the DATA among some frames. */
function bytesIn(frames: readonly Frame[]): number {
  return frames.reduce(
    (sum, frame) => sum + (frame.type === "data" ? frame.payload.length : 0),
    0,
  );
}

scripted(
  "reference: thousands of small adjusts are taken as they come",
  async (script) => {
    const { pipe, id } = await script.incoming({ window: 0 });
    const writing = pipe.write(new Uint8Array(20_000));
    for (let i = 0; i < 20; i++) {
      await script.raw.send(
        ...Array.from({ length: 1_000 }, () => adjust(id, 1)),
      );
      // Credit is idle if nothing was sent for it, so the bytes come first.
      await until(() => bytesIn(script.raw.pending) === 1_000 * (i + 1));
    }
    await writing;
    const said = await script.said();
    assertEquals(bytesIn(said), 20_000);
    // A few frames for what came with one read, and not one for each.
    assertLessOrEqual(said.length, 100);
  },
);

scripted(
  "reference: numbers go up, so that a late frame finds no other channel",
  async (script) => {
    const ids: number[] = [];
    for (let i = 0; i < 5; i++) {
      const { pipe, id } = await script.incoming();
      ids.push(id);
      await pipe.channel.close();
      await script.raw.send(close(id));
      await pipe.channel.closed;
    }
    assertEquals(ids, [0, 1, 2, 3, 4]);
    for (const id of ids) {
      await script.raw.send(
        data(id, "late"),
        adjust(id, 1),
        eof(id),
        close(id),
      );
    }
    const { pipe, id } = await script.incoming();
    await script.raw.send(data(id, "x"));
    assertEquals(text(await pipe.read(1)), "x");
  },
);

scripted(
  "reference: its window of 1 GiB and packet of 16 MiB do not make one frame of a write",
  async (script) => {
    const { pipe } = await script.incoming();
    await pipe.write(new Uint8Array(1_000_000));
    // What a stream sends in one write shares a frame (mux/SPEC.md).
    for (const frame of await script.said()) {
      assert(frame.type === "data" && frame.payload.length <= 320 * 1024);
    }
  },
);

scripted(
  "reference: a value of 64 KiB with its length is one DATA frame, as qtalk-js wants it",
  async (script) => {
    const { pipe } = await script.incoming();
    await pipe.write(new Uint8Array(4 + 64 * 1024));
    assertEquals((await script.said()).length, 1);
  },
);

scripted(
  "reference: frames are read while nobody accepts, up to the backlog",
  async (script) => {
    const { pipe, id } = await script.incoming();
    await script.raw.send(open(6), open(7), open(8), data(id, "not held up"));
    assertEquals(text(await pipe.read(11)), "not held up");
    assertEquals(await script.said(), [{ type: "open-failure", recipient: 8 }]);
  },
  { backlog: 2 },
);

scripted(
  "reference: a signal that aborts in the turn of the CONFIRM comes too late",
  async (script) => {
    const controller = new AbortController();
    script.session.accept(() => controller.abort());
    const opening = script.session.open({ signal: controller.signal });
    const { sender } = await script.raw.expect("open");
    await script.raw.send(confirm(sender, 5), open(6));
    const writer = (await opening).writable.getWriter();
    await writer.write(utf8("open"));
    assert(controller.signal.aborted);
    assertEquals((await script.raw.find("data")).payload, utf8("open"));
  },
);
