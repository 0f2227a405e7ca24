import { assert, assertEquals } from "@std/assert";
import { saidOn, scripted } from "../../tests/conformance/scripted.ts";
import { assertCode, failure } from "../../tests/conformance/session_pair.ts";
import { close, data, eof, text, utf8 } from "../../tests/support/wire.ts";
import { turn, watch } from "../../tests/support/within.ts";
import type { Channel } from "../types.ts";

scripted("BYOB reader: receives bytes in its own buffer", async (script) => {
  const { channel, id } = await script.accepted();
  const reader = channel.readable.getReader({ mode: "byob" });
  const buffer = new ArrayBuffer(100);
  await script.raw.send(data(id, "abc"));
  const { value, done } = await reader.read(new Uint8Array(buffer, 10));
  assert(!done);
  assertEquals(text(value), "abc");
  assertEquals(value.byteOffset, 10);
  assertEquals(value.buffer.byteLength, 100);
  assertEquals(buffer.byteLength, 0, "the stream has detached it");
});

scripted(
  "BYOB reader: a pending read gets all bytes of one turn",
  async (script) => {
    const { channel, id } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    const reading = reader.read(new Uint8Array(100));
    await script.raw.send(data(id, "one "), data(id, "two "), data(id, "six"));
    assertEquals(text((await reading).value!), "one two six");
  },
);

scripted(
  "BYOB reader: bytes that do not fit, and their credit, are left for the next read",
  async (script) => {
    const { channel, id } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    await script.raw.send(data(id, utf8("x".repeat(1_000))));
    const first = await reader.read(new Uint8Array(900));
    assertEquals(first.value!.length, 900);
    let credit = 0;
    for (const frame of await script.said()) {
      if (frame.type === "window-adjust") credit += frame.bytes;
    }
    assert(credit <= 900, `credit for ${credit} bytes`);
    const rest = await reader.read(new Uint8Array(900));
    assertEquals(rest.value!.length, 100);
  },
  { initialWindowSize: 1_000, maxWindowSize: 1_000 },
);

scripted(
  "BYOB reader: receives whole elements of two bytes",
  async (script) => {
    const { channel, id } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    const reading = reader.read(new Uint16Array(4));
    const watched = watch(reading);
    await script.raw.send(data(id, Uint8Array.of(1)));
    await turn();
    assertEquals(watched.state, "pending");
    await script.raw.send(data(id, Uint8Array.of(2, 3)));
    assertEquals((await reading).value!.byteLength, 2);
    const next = reader.read(new Uint8Array(4));
    assertEquals((await next).value, Uint8Array.of(3));
  },
);

scripted("BYOB reader: the end follows the bytes", async (script) => {
  const { channel, id } = await script.accepted();
  const reader = channel.readable.getReader({ mode: "byob" });
  const reading = reader.read(new Uint8Array(10));
  await script.raw.send(data(id, "x"), eof(id));
  assertEquals(text((await reading).value!), "x");
  const end = await reader.read(new Uint8Array(10));
  assert(end.done);
  assertEquals(end.value!.length, 0);
  assertEquals(end.value!.buffer.byteLength, 10, "the buffer is returned");
  await reader.closed;
});

scripted("BYOB reader: the end resolves a pending read", async (script) => {
  const { channel, id } = await script.accepted();
  const reader = channel.readable.getReader({ mode: "byob" });
  const reading = reader.read(new Uint8Array(10));
  await script.raw.send(close(id));
  assert((await reading).done);
});

scripted(
  "BYOB reader: a lost connection rejects a pending read",
  async (script) => {
    const { channel } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    const reading = failure(reader.read(new Uint8Array(10)));
    await script.raw.end();
    assertCode(await reading, "connection-lost");
  },
);

for (const end of ["EOF", "CLOSE", "close()", "cancel()"]) {
  scripted(
    `BYOB reader: ${end} within an element rejects the read and affects no other channel`,
    async (script) => {
      const { channel, id } = await script.accepted();
      const other = await script.accepted({ number: 6 });
      const reader = channel.readable.getReader({ mode: "byob" });
      const reading = watch(reader.read(new Float32Array(4)));
      await script.raw.send(data(id, "abc"));
      await turn();
      if (end === "EOF") await script.raw.send(eof(id));
      else if (end === "CLOSE") await script.raw.send(close(id));
      else if (end === "close()") await channel.close();
      else await reader.cancel();
      await turn();
      assertEquals(
        reading.state,
        end === "cancel()" ? "resolved" : "rejected",
      );
      await channel.close();
      await script.raw.send(data(other.id, "x"));
      const { value } = await other.channel.readable.getReader().read();
      assertEquals(text(value!), "x");
    },
  );
}

/** Reads to the end; `pipeTo` does not call `keep`. */
type Consumer = (
  readable: ReadableStream<Uint8Array>,
  keep: (chunk: Uint8Array) => void,
  to: Channel,
) => Promise<void>;

const CONSUMERS: Record<string, Consumer> = {
  "default"(readable, keep) {
    const reader = readable.getReader();
    return readAll(() => reader.read(), keep);
  },
  "byob"(readable, keep) {
    const reader = readable.getReader({ mode: "byob" });
    return readAll(() => reader.read(new Uint8Array(10)), keep);
  },
  async "for await"(readable, keep) {
    for await (const chunk of readable) keep(chunk);
  },
  "pipeTo": (readable, _keep, to) => readable.pipeTo(to.writable),
};

async function readAll(
  read: () => Promise<ReadableStreamReadResult<Uint8Array>>,
  keep: (chunk: Uint8Array) => void,
): Promise<void> {
  for (;;) {
    const { done, value } = await read();
    if (done) return;
    keep(value);
  }
}

for (const next of Object.keys(CONSUMERS)) {
  for (const late of [false, true]) {
    scripted(
      `channel.readable: a BYOB reader that leaves during a read leaves all bytes to ${next}${
        late ? ", later" : ""
      }`,
      async (script) => {
        const { channel, id } = await script.accepted();
        const to = await script.accepted({ number: 6 });
        const { readable } = channel;
        await turn();
        const leaving = readable.getReader({ mode: "byob" });
        const left = failure(leaving.read(new Uint8Array(10)));
        if (late) await turn();
        leaving.releaseLock();
        await left;
        let got = "";
        const keep = (chunk: Uint8Array) => void (got += text(chunk));
        const reading = watch(CONSUMERS[next]!(readable, keep, to.channel));
        await turn();
        await script.raw.send(data(id, "abc"));
        await turn();
        if (next === "pipeTo") got = (await saidOn(script, 6)).bytes;
        assertEquals(got, "abc");
        await script.raw.send(eof(id));
        await turn();
        assertEquals(reading.state, "resolved");
      },
    );
  }
}

for (const mode of ["byob", undefined] as const) {
  scripted(
    `channel.readable: a ${
      mode ?? "default"
    } reader that leaves during a read leaves all bytes`,
    async (script) => {
      const { channel, id } = await script.accepted();
      const leaving = mode === undefined
        ? channel.readable.getReader()
        : channel.readable.getReader({ mode });
      const left = failure(leaving.read(new Uint8Array(2)));
      leaving.releaseLock();
      await left;
      await script.raw.send(data(id, "abcdef"), eof(id));
      let rest = "";
      for await (const chunk of channel.readable) rest += text(chunk);
      assertEquals(rest, "abcdef");
    },
  );
}

scripted(
  "BYOB reader: cancel() ends a pending read",
  async (script) => {
    const { channel, id } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    const reading = reader.read(new Uint8Array(10));
    await reader.cancel();
    assert((await reading).done);
    await script.raw.send(data(id, "x"));
  },
);
