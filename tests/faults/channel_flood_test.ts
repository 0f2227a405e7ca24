/**
 * Peers that open too many channels, or never let one go: each limit holds, and
 * what comes free is given away again.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Channel, MuxError } from "@qtalk/qtalk";
import { test } from "../support/harness.ts";
import { assertUsage } from "../support/usage.ts";
import { close, confirm, open } from "../support/wire.ts";

test("maxChannels: an OPEN beyond it is refused, and a slot that is freed is used again", async (t) => {
  const { session, raw } = t.script({ maxChannels: 3 });
  session.accept(() => {});
  await raw.send(...[0, 1, 2, 3, 4].map((id) => open(id)));
  const ids: number[] = [];
  for (let i = 0; i < 3; i++) {
    const { recipient, sender } = await raw.expect("open-confirm");
    assertEquals(recipient, i);
    ids.push(sender);
  }
  assertEquals((await raw.expect("open-failure")).recipient, 3);
  assertEquals((await raw.expect("open-failure")).recipient, 4);
  // Both sides' channels count.
  const error = await assertRejects(() => session.open(), MuxError);
  assertEquals(error.code, "limit-exceeded");

  await raw.send(close(ids[1]!));
  assertEquals((await raw.expect("close")).recipient, 1);
  await raw.send(open(5));
  const { sender } = await raw.expect("open-confirm");
  assert(!ids.includes(sender), "a number just freed is not given out again");
});

test("backlog: OPENs beyond it are refused, and those within it wait in order", async (t) => {
  const { session, raw } = t.script({ backlog: 2 });
  await raw.send(...[0, 1, 2, 3].map((id) => open(id)));
  assertEquals((await raw.expect("open-failure")).recipient, 2);
  assertEquals((await raw.expect("open-failure")).recipient, 3);
  assertUsage(session, { channels: 0, slots: 2 });
  const incoming = session[Symbol.asyncIterator]();
  await incoming.next();
  assertEquals((await raw.expect("open-confirm")).recipient, 0);
  await raw.send(open(4), open(5));
  assertEquals((await raw.expect("open-failure")).recipient, 5);
  await incoming.next();
  await incoming.next();
  assertEquals((await raw.expect("open-confirm")).recipient, 1);
  assertEquals((await raw.expect("open-confirm")).recipient, 4);
});

test("channel flood: 3,000 channels that the peer opens and closes leave nothing", async (t) => {
  const { session, raw } = t.script({ maxChannels: 4 });
  session.accept(() => {});
  let last = -1;
  for (let i = 0; i < 3_000; i++) {
    await raw.send(open(7));
    const { sender } = await raw.expect("open-confirm");
    assert(sender > last, "numbers go up");
    last = sender;
    await raw.send(close(sender));
    assertEquals((await raw.expect("close")).recipient, 7);
  }
  assertUsage(session, { channels: 0, slots: 0 });
});

test("channel flood: 3,000 channels that this side opens and closes leave nothing", async (t) => {
  const { session, raw } = t.script({ maxChannels: 4 });
  const answering = (async () => {
    for (let frame; (frame = await raw.next()) !== null;) {
      if (frame.type === "open") {
        await raw.send(confirm(frame.sender, frame.sender));
      } else if (frame.type === "close") {
        await raw.send(close(frame.recipient));
      }
    }
  })();
  for (let i = 0; i < 3_000; i++) {
    const channel = await session.open();
    await channel.close();
    await channel.closed;
  }
  assertUsage(session, { channels: 0, slots: 0 });
  await raw.end();
  await session.closed;
  await answering;
});

test("channel flood: a peer that never answers CLOSE costs a bounded number of channels, until it does", async (t) => {
  const { session, raw } = t.script({ maxChannels: 4 });
  const channels: Channel[] = [];
  for (let i = 0; i < 8; i++) {
    const opening = session.open();
    const { sender } = await raw.expect("open");
    await raw.send(confirm(sender, i));
    const channel = await opening;
    channels.push(channel);
    await channel.close();
    assertEquals((await raw.expect("close")).recipient, i);
  }
  assertUsage(session, { channels: 8, slots: 0 });
  const error = await assertRejects(() => session.open(), MuxError);
  assertEquals(error.code, "limit-exceeded");
  await raw.send(open(50));
  await raw.expect("open-failure");

  await raw.send(...channels.map(({ id }) => close(id)));
  await Promise.all(channels.map(({ closed }) => closed));
  assertUsage(session, { channels: 0, slots: 0 });
  const opening = session.open();
  const { sender } = await raw.expect("open");
  await raw.send(confirm(sender, 1));
  await opening;
});

test("channel flood: a peer that never answers OPEN costs a bounded number of opens", async (t) => {
  const { session } = t.script({ maxChannels: 3 });
  const giveUp = new AbortController();
  const opens = [1, 2, 3].map(() => session.open({ signal: giveUp.signal }));
  const error = await assertRejects(() => session.open(), MuxError);
  assertEquals(error.code, "limit-exceeded");
  // Giving up does not make room: the peer may yet confirm.
  giveUp.abort(new Error("enough"));
  for (const open of opens) await assertRejects(() => open, Error, "enough");
  await assertRejects(() => session.open(), MuxError);
  assertUsage(session, { channels: 3, slots: 3 });
});
