/**
 * What the tests of golang.org/x/crypto/ssh's mux name, qmux's ancestor, and
 * what this side does about each. A script is at the other end.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { assertUsage } from "../support/usage.ts";
import {
  adjust,
  close,
  confirm,
  data,
  dataHeader,
  eof,
  failure as openFailure,
  open,
  utf8,
} from "../support/wire.ts";
import { turn, watch } from "../support/within.ts";
import { scripted, violate } from "./scripted.ts";
import { assertCode, assertFails, failure } from "./session_pair.ts";

scripted(
  "checklist: a window that overflows ends the session",
  async (script) => {
    const { id } = await script.incoming({ window: 2 ** 32 - 1 });
    assertEquals(
      await violate(script, adjust(id, 1)),
      "received WINDOW_ADJUST by 1 for a window of 4294967295, which exceeds 2^32 - 1",
    );
  },
);

scripted("checklist: a window may reach 2^32 - 1", async (script) => {
  const { pipe, id } = await script.incoming({ window: 1 });
  await script.raw.send(adjust(id, 2 ** 32 - 2));
  await pipe.write("fine");
  assertEquals((await script.raw.find("data")).payload, utf8("fine"));
});

scripted(
  "checklist: adjusts wait until a quarter of a window was read, and then come as one",
  async (script) => {
    const { pipe, id } = await script.incoming();
    await script.raw.send(data(id, new Uint8Array(1_000)));
    await pipe.read(1_000);
    for (let i = 0; i < 3; i++) await script.raw.send(adjust(id, 1));
    assertEquals(await script.said(), [
      { type: "window-adjust", recipient: 5, bytes: 1_000 },
    ]);
    await script.raw.send(data(id, new Uint8Array(249)));
    await pipe.read(249);
    assertEquals(await script.said(), []);
    await script.raw.send(data(id, new Uint8Array(1)));
    await pipe.read(1);
    assertEquals(await script.said(), [
      { type: "window-adjust", recipient: 5, bytes: 250 },
    ]);
  },
  { initialWindowSize: 1_000, maxWindowSize: 1_000 },
);

scripted("checklist: an adjust by zero is ignored", async (script) => {
  const { pipe, id } = await script.incoming({ window: 0 });
  const writing = watch(pipe.write("x"));
  await script.raw.send(adjust(id, 0));
  assertEquals(await script.said(), []);
  assertEquals(writing.state, "pending");
  await script.raw.send(adjust(id, 1));
  assertEquals((await script.raw.find("data")).payload, utf8("x"));
});

scripted("checklist: DATA past the window ends the session", async (script) => {
  const { id } = await script.incoming();
  await script.raw.send(data(id, new Uint8Array(60)));
  assertEquals(
    await violate(script, dataHeader(id, 41)),
    "received DATA of 41 bytes for a window of 40",
  );
}, { initialWindowSize: 100, maxWindowSize: 100 });

scripted(
  "checklist: DATA longer than a packet ends the session, before a byte of it came",
  async (script) => {
    const { id } = await script.incoming();
    assertEquals(
      await violate(script, dataHeader(id, 10)),
      "received DATA of 10 bytes, which exceeds the maximum packet size of 9",
    );
  },
  { maxPacketSize: 9 },
);

scripted(
  "checklist: no DATA is longer than the peer's packet",
  async (script) => {
    const opening = script.session.open();
    const { sender } = await script.raw.expect("open");
    await script.raw.send(confirm(sender, 5, 1_000, 9));
    const writer = (await opening).writable.getWriter();
    await writer.write(new Uint8Array(25));
    const sizes = (await script.said()).map((frame) =>
      frame.type === "data" && frame.payload.length
    );
    assertEquals(sizes, [9, 9, 7]);
  },
);

scripted(
  "checklist: a packet size under 9 or over 2^31 is refused in OPEN",
  async (script) => {
    for (const size of [0, 8, 2 ** 31 + 1, 2 ** 32 - 1]) {
      await script.raw.send(open(7, 100, size));
      assertEquals((await script.raw.expect("open-failure")).recipient, 7);
    }
    script.session.accept(() => {});
    for (const size of [9, 2 ** 31]) {
      await script.raw.send(open(7, 100, size));
      assertEquals((await script.raw.expect("open-confirm")).recipient, 7);
    }
  },
);

for (const size of [8, 2 ** 31 + 1]) {
  scripted(
    `checklist: a packet size of ${size} in CONFIRM ends the session`,
    async (script) => {
      const opening = failure(script.session.open());
      const { sender } = await script.raw.expect("open");
      assertEquals(
        await violate(script, confirm(sender, 5, 100, size)),
        `received OPEN_CONFIRM with a maximum packet size of ${size}`,
      );
      assertCode(await opening, "protocol-error");
    },
  );
}

scripted(
  "checklist: a writer that waits is released when its channel is closed, by either side",
  async (script) => {
    const first = await script.incoming({ window: 0 });
    const ours = failure(first.pipe.write("x"));
    await first.pipe.channel.close();
    assertCode(await ours, "channel-closed");
    const second = await script.incoming({ window: 0 });
    const theirs = failure(second.pipe.write("x"));
    await script.raw.send(close(second.id));
    assertCode(await theirs, "channel-closed");
  },
);

scripted(
  "checklist: a writer that waits is released when the session ends",
  async (script) => {
    const { pipe } = await script.incoming({ window: 0 });
    const writing = failure(pipe.write("x"));
    await script.raw.close();
    assertCode(await writing, "connection-lost");
  },
);

scripted(
  "checklist: closing twice is harmless, channel and session, on the wire too",
  async (script) => {
    const { pipe, id } = await script.incoming();
    await Promise.all([pipe.channel.close(), pipe.channel.close()]);
    await pipe.channel.close();
    await script.raw.send(close(id), close(id));
    await pipe.channel.closed;
    await pipe.channel.close();
    assertEquals(await script.said(), [
      { type: "eof", recipient: 5 },
      { type: "close", recipient: 5 },
    ]);
  },
);

scripted(
  "checklist: a refused open frees its number and its place",
  async (script) => {
    for (let i = 0; i < 3; i++) {
      const opening = failure(script.session.open());
      const { sender } = await script.raw.expect("open");
      await script.raw.send(openFailure(sender));
      assertCode(await opening, "open-refused");
      assertUsage(script.session, { channels: 0, slots: 0 });
    }
  },
  { maxChannels: 1 },
);

for (
  const [name, frame] of Object.entries({
    DATA: data,
    WINDOW_ADJUST: (id: number) => adjust(id, 1),
    EOF: eof,
    CLOSE: close,
  })
) {
  scripted(
    `checklist: ${name} for a number never given ends the session`,
    async (script) => {
      await script.incoming();
      assertEquals(
        await violate(script, frame(1, "x")),
        `received ${name} for channel 1, which was never opened`,
      );
    },
  );
}

scripted(
  "checklist: a number is given by the CONFIRM: what comes before is for none",
  async (script) => {
    // Nobody accepts, so that the OPEN waits.
    await script.raw.send(open(5));
    assertEquals(
      await violate(script, data(0, "guess")),
      "received DATA for channel 0, which was never opened",
    );
  },
);

for (
  const [name, frame] of Object.entries({
    OPEN_CONFIRM: (id: number) => confirm(id, 5),
    OPEN_FAILURE: openFailure,
  })
) {
  scripted(
    `checklist: an ${name} that nobody asked for ends the session`,
    async (script) => {
      assertEquals(
        await violate(script, frame(0)),
        `received ${name} for channel 0, which is not being opened`,
      );
    },
  );

  scripted(
    `checklist: an ${name} for an open channel ends the session`,
    async (script) => {
      const { pipe, id } = await script.outgoing();
      assertEquals(
        await violate(script, frame(id)),
        `received ${name} for channel ${id}, which is not being opened`,
      );
      await assertFails(pipe.channel.closed, "protocol-error");
    },
  );
}

scripted(
  "checklist: a frame that begins with no type ends the session",
  async (script) => {
    assertEquals(
      await violate(script, utf8("GET / HTTP/1.1\r\n")),
      "received 0x47, which is not a frame type: " +
        '"GET / HTTP/1.1\\r\\n" looks like an HTTP client; for WebSockets, listen on ws:',
    );
  },
);

scripted(
  "checklist: what came before a violation is still delivered, and then says why",
  async (script) => {
    const { pipe, id } = await script.incoming();
    await violate(script, data(id, "before"), Uint8Array.of(0));
    const lost = await pipe.rest();
    assertEquals(lost.text, "before");
    assertCode(lost.error, "protocol-error");
  },
);

scripted(
  "checklist: a channel that is complete before anybody looked is all there",
  async (script) => {
    const accepting = script.session[Symbol.asyncIterator]().next();
    // In one read: opened, used and closed; the number is no secret.
    await script.raw.send(open(5), data(0, "whole life"), eof(0), close(0));
    const channel = (await accepting).value!;
    assertEquals(await new Response(channel.readable).text(), "whole life");
    await channel.closed;
    assertEquals(
      (await script.said()).map(({ type }) => type),
      ["open-confirm", "close"],
    );
  },
);

scripted(
  "checklist: a session that nobody uses does nothing",
  async (script) => {
    for (let i = 0; i < 5; i++) await turn();
    assertEquals(script.raw.pending, []);
  },
);
