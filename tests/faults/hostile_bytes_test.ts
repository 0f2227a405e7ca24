import { assert, assertEquals, assertIsError } from "@std/assert";
import { dial, handlerFrom, listen, MuxError } from "@qtalk/qtalk";
import { test } from "../support/harness.ts";
import { forSeeds } from "../support/random.ts";
import { assertUsage } from "../support/usage.ts";
import {
  adjust,
  close,
  concat,
  confirm,
  data,
  dataHeader,
  eof,
  failure,
  open,
} from "../support/wire.ts";
import { assertAllFailed, startWaiters } from "../support/waiters.ts";
import { within } from "../support/within.ts";
import { HOSTILE } from "./hostile_bytes.ts";

for (const [what, hostile] of Object.entries(HOSTILE)) {
  const { bytes, ends, code, names, served = true } = hostile;
  test(`hostile bytes: ${what} ends the session with ${code}, and all that waits on it`, async (t) => {
    const { session, raw } = t.script();
    const waiters = await startWaiters(session, raw);
    await raw.send(bytes(waiters.id));
    if (ends) await raw.end();
    await assertAllFailed(waiters, code, names);
    await waiters.unread.close();
    assertUsage(session, { channels: 0, slots: 0 });
    // Nothing is answered, and our end of the line is closed.
    assertEquals(await within(raw.rest(), "our end to close"), []);
    await session.close();
  });

  test(`hostile bytes: ${what} has the same effect byte by byte`, async (t) => {
    const { session, raw } = t.script();
    const waiters = await startWaiters(session, raw);
    // The line is closed under us once the session has seen enough.
    for (const byte of bytes(waiters.id)) {
      await raw.send(Uint8Array.of(byte)).catch(() => {});
    }
    if (ends) await raw.end();
    await assertAllFailed(waiters, code, names);
  });

  if (!served) continue;
  test(`hostile bytes: ${what} on one connection leaves the listener serving others`, async (t) => {
    const errors: unknown[] = [];
    const heard = Promise.withResolvers<void>();
    const listener = t.watch(
      await listen("tcp://127.0.0.1:0", {
        handler: handlerFrom({ echo: (n: number) => n }),
        onError(error) {
          errors.push(error);
          heard.resolve();
        },
      }),
    );
    const peer = t.watch(await dial(listener.addr));
    assertEquals(await peer.call("echo", [1]), 1);

    const { port } = new URL(listener.addr.replace("tcp:", "http:"));
    const conn = await Deno.connect({ port: Number(port) });
    await conn.write(concat(open(0), bytes(0)));
    if (ends) await conn.closeWrite();
    await within(heard.promise, "the error to be reported");
    await within(drain(conn), "the listener to hang up");
    conn.close();

    assertEquals(errors.length, 1);
    const [error] = errors;
    assertIsError(error, MuxError, names);
    assertEquals(error.code, code);
    assertEquals(await peer.call("echo", [2]), 2);
    const late = t.watch(await dial(listener.addr));
    assertEquals(await late.call("echo", [3]), 3);
  });
}

/** Reads until the other end is gone, with or without a reset. */
async function drain(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(1_024);
  try {
    while (await conn.read(buffer) !== null) {
      /* Answers to what was right. */
    }
  } catch (error) {
    assert(error instanceof Deno.errors.ConnectionReset, String(error));
  }
}

test("hostile bytes: a frame that is cut short loses the connection, and a whole one ends it cleanly", async (t) => {
  const frames = [
    open(3),
    confirm(1, 3),
    failure(1),
    adjust(0, 5),
    data(0, "payload"),
    eof(0),
    close(0),
  ];
  for (const frame of frames) {
    for (let size = 1; size <= frame.length; size++) {
      const { session, raw } = t.script();
      session.accept(() => {});
      await raw.send(open(0));
      await raw.expect("open-confirm");
      const opening = session.open().catch(() => {});
      await raw.expect("open");
      await raw.send(frame.subarray(0, size));
      await raw.end();
      const error = await within(
        session.closed.then(() => undefined, (error) => error),
        "the session's end",
      );
      await opening;
      if (size === frame.length) assertEquals(error, undefined);
      else {
        assertIsError(error, MuxError, "inside a frame");
        assertEquals(error.code, "connection-lost");
      }
    }
  }
});

test("hostile bytes: random bytes end their session and nothing else", async (t) => {
  await forSeeds(500, async (random) => {
    const { peer, raw } = t.scriptedPeer({ onError: () => {} });
    const bytes = random.bytes(random.int(1, 300));
    // Else nearly all would fail at the first byte.
    if (random.chance(0.8)) bytes[0] = random.int(100, 106);
    if (random.chance(0.5)) bytes.fill(0, 1, 5);
    const call = peer.call("any").then(() => "answered", (error) => error.code);
    for (const chunk of random.split(bytes, 100)) {
      await raw.send(chunk).catch(() => {});
    }
    await raw.end();
    const error = await within(
      peer.closed.then(() => undefined, (error) => error),
      "the session's end",
    );
    const codes = ["protocol-error", "connection-lost", "limit-exceeded"];
    if (error !== undefined) {
      assertIsError(error, MuxError);
      assert(codes.includes(error.code), error.code);
    }
    const outcome = await within(call, "the call");
    assert(
      [...codes, "open-refused", "no-response"].includes(outcome),
      outcome,
    );
    assertUsage(peer.session, { channels: 0, slots: 0 });
  });
});

test("hostile bytes: DATA of 4 GiB is refused for a closed channel, too", async (t) => {
  const { session, raw } = t.script();
  session.accept((channel) => void channel.close());
  await raw.send(open(0));
  const { sender } = await raw.expect("open-confirm");
  await raw.expect("close");
  await raw.send(close(sender), data(sender, "late, and dropped"));
  await raw.send(dataHeader(sender, 0xffff_ffff));
  const error = await within(session.closed.catch((e) => e), "the end");
  assertIsError(error, MuxError, "DATA of 4294967295 bytes");
});

test("hostile bytes: a frame for a channel that is not accepted yet ends the session", async (t) => {
  for (const guess of [data(0, "x"), eof(0), close(0), adjust(0, 1)]) {
    const { session, raw } = t.script();
    await raw.send(open(0));
    assertUsage(session, { channels: 0, slots: 1 });
    await raw.send(guess);
    const error = await within(session.closed.catch((e) => e), "the end");
    assertIsError(error, MuxError, "for channel 0, which was never opened");
    assertEquals(await raw.rest(), []);
  }
});

test("hostile bytes: an OPEN with a packet size out of range is refused, and the session goes on", async (t) => {
  const { session, raw } = t.script();
  session.accept(() => {});
  for (const size of [0, 1, 8, 2 ** 31 + 1, 2 ** 32 - 1]) {
    await raw.send(open(5, 1_000, size));
    assertEquals(await raw.next(), { type: "open-failure", recipient: 5 });
  }
  for (const size of [9, 2 ** 31]) {
    await raw.send(open(size, 1_000, size));
    assertEquals((await raw.expect("open-confirm")).recipient, size);
  }
  assertUsage(session, { channels: 2, slots: 2 });
});

for (const size of [0, 8, 2 ** 31 + 1]) {
  test(`hostile bytes: an OPEN_CONFIRM with a packet size of ${size} ends the session`, async (t) => {
    const { session, raw } = t.script();
    const opening = session.open().catch((error) => error);
    const { sender } = await raw.expect("open");
    await raw.send(confirm(sender, 1, 1_000, size));
    const error = await within(session.closed.catch((e) => e), "the end");
    assertIsError(
      error,
      MuxError,
      `received OPEN_CONFIRM with a maximum packet size of ${size}`,
    );
    assertEquals(error.code, "protocol-error");
    assertEquals(await opening, error);
  });
}

test("hostile bytes: a second OPEN_CONFIRM for one OPEN ends the session", async (t) => {
  const { session, raw } = t.script();
  const opening = session.open();
  const { sender } = await raw.expect("open");
  await raw.send(confirm(sender, 1));
  await opening;
  await raw.send(confirm(sender, 2));
  const error = await within(session.closed.catch((e) => e), "the end");
  assertIsError(error, MuxError, `received OPEN_CONFIRM for channel ${sender}`);
});

test("hostile bytes: credit granted before OPEN_CONFIRM counts, and may not overflow with it", async (t) => {
  const { session, raw } = t.script();
  const opening = session.open().catch((error) => error);
  const { sender } = await raw.expect("open");
  await raw.send(adjust(sender, 2 ** 31), confirm(sender, 1, 2 ** 31));
  const error = await within(session.closed.catch((e) => e), "the end");
  assertIsError(error, MuxError, "exceeds 2^32 - 1");
  assertEquals(await opening, error);
});
