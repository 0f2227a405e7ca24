import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { MuxError } from "../../mux/errors.ts";
import type { Channel } from "../../mux/types.ts";
import { watch } from "../support/within.ts";
import {
  assertCode,
  assertFails,
  failure,
  type Lab,
  openPipes,
  Pipe,
  type SessionTest,
} from "./session_pair.ts";

/** Opening, accepting, refusing and giving up. */
export function testOpening(test: SessionTest): void {
  test("open() gives a channel once the peer has accepted it, and both can talk", async (lab) => {
    const opening = lab.a.open();
    const watched = watch(opening);
    await lab.a.open({ signal: AbortSignal.abort() }).catch(() => {});
    assertEquals(watched.state, "pending");
    const there = new Pipe(await lab.accept());
    const here = new Pipe(await opening);
    await here.write("ping");
    assertEquals((await there.read(4)).length, 4);
    await there.write("pong");
    assertEquals((await here.read(4)).length, 4);
  });

  test("either side opens channels, at the same time", async (lab) => {
    const fromA = Promise.all([lab.a.open(), lab.accept()]);
    const accepting = lab.a[Symbol.asyncIterator]().next();
    const fromB = Promise.all([lab.b.open(), accepting]);
    const [[a1, b1], [b2, { value: a2 }]] = await Promise.all([fromA, fromB]);
    const pipes = [a1, b1, a2!, b2].map((channel) => new Pipe(channel));
    await Promise.all([pipes[0]!.write("one"), pipes[3]!.write("two")]);
    assertEquals(new TextDecoder().decode(await pipes[1]!.read(3)), "one");
    assertEquals(new TextDecoder().decode(await pipes[2]!.read(3)), "two");
  });

  test("no number is used again while its channel lives, nor right after", async (lab) => {
    const ids = new Set<number>();
    const [kept] = await lab.open();
    ids.add(kept.id);
    for (let i = 0; i < 20; i++) {
      const [there, here] = await lab.open();
      assert(!ids.has(there.id));
      ids.add(there.id);
      await Promise.all([there.close(), here.close()]);
      await there.closed;
    }
    assertNotEquals(ids.size, 1);
  });

  test("accept() is given every channel in its order, those that waited included", async (lab) => {
    const early = [lab.a.open(), lab.a.open()];
    const accepted: Channel[] = [];
    // The order of the opens is that of their frames.
    await settled(lab);
    lab.b.accept((channel) => void accepted.push(channel));
    const late = [lab.a.open(), lab.a.open()];
    const opened = await Promise.all([...early, ...late]);
    assertEquals(accepted.length, 4);
    for (const [i, channel] of opened.entries()) {
      const writer = channel.writable.getWriter();
      await writer.write(Uint8Array.of(i));
      const { value } = await accepted[i]!.readable.getReader().read();
      assertEquals(value, Uint8Array.of(i));
    }
  });

  test("a handler of accept() that throws costs its channel and nothing else", async (lab) => {
    let first = true;
    let second: Channel | undefined;
    lab.b.accept((channel) => {
      if (!first) {
        second = channel;
        return;
      }
      first = false;
      throw new Error("not this one");
    });
    const lost = new Pipe(await lab.a.open());
    assertEquals(await lost.rest(), { text: "", error: undefined });
    await lost.channel.closed;
    const kept = new Pipe(await lab.a.open());
    await kept.write("x");
    assertEquals((await new Pipe(second!).read(1)).length, 1);
  });

  test("channels belong to one handler: neither another nor an iterator can have them", async (lab) => {
    lab.b.accept(() => {});
    const invalid = [
      () => lab.b.accept(() => {}),
      () => lab.b[Symbol.asyncIterator](),
    ];
    for (const attempt of invalid) {
      assertCode(assertThrows(attempt, MuxError), "invalid-state");
    }
    await lab.a.open();
  });

  test("channels that an iterator waits for are not given to a handler", async (lab) => {
    const waiting = lab.b[Symbol.asyncIterator]().next();
    assertCode(
      assertThrows(() => lab.b.accept(() => {}), MuxError),
      "invalid-state",
    );
    await lab.a.open();
    assert(!(await waiting).done);
  });

  test("an iterator that was made before accept() gets nothing after it", async (lab) => {
    const iterator = lab.b[Symbol.asyncIterator]();
    lab.b.accept(() => {});
    await assertFails(iterator.next(), "invalid-state");
    await lab.a.open();
  });

  test("leaving an iteration leaves the session, and the next one goes on", async (lab) => {
    const opened = [lab.a.open(), lab.a.open()];
    for (let i = 0; i < 2; i++) {
      for await (const channel of lab.b) {
        await channel.writable.getWriter().write(Uint8Array.of(i));
        break;
      }
    }
    const [first, second] = await Promise.all(opened);
    assertEquals(await new Pipe(first!).read(1), Uint8Array.of(0));
    assertEquals(await new Pipe(second!).read(1), Uint8Array.of(1));
  });

  test("an iterator that returned takes no channel that comes later", async (lab) => {
    const left = lab.b[Symbol.asyncIterator]();
    const waiting = left.next();
    await left.return!();
    assertEquals(await waiting, { done: true, value: undefined });
    assertEquals(await left.next(), { done: true, value: undefined });
    await lab.open();
  });

  test("an iteration ends with its session, without an error", async (lab) => {
    const iterations = [lab.a, lab.b].map((session) =>
      Array.fromAsync(session)
    );
    await lab.a.close();
    assertEquals(await Promise.all(iterations), [[], []]);
  });

  test(
    "opens that nobody accepts wait, up to the backlog; then they are refused",
    async (lab) => {
      const waiting = [lab.a.open(), lab.a.open()];
      const watched = waiting.map(watch);
      await assertFails(lab.a.open(), "open-refused");
      assertEquals(watched.map(({ state }) => state), ["pending", "pending"]);
      await lab.accept();
      await waiting[0];
      // There is a place again.
      const third = lab.a.open();
      await Promise.all([lab.accept(), lab.accept()]);
      await Promise.all([waiting[1], third]);
    },
    { b: { backlog: 2 } },
  );

  test("with a backlog of 0 only who is waited for gets in", async (lab) => {
    await assertFails(lab.a.open(), "open-refused");
    await lab.open();
  }, { b: { backlog: 0 } });

  test(
    "a peer that opens more channels than this side allows is refused, until one is closed",
    async (lab) => {
      const [first] = await lab.open();
      await lab.open();
      await assertFails(lab.a.open(), "open-refused");
      await first.close();
      await first.closed;
      await lab.open();
    },
    { b: { maxChannels: 2 } },
  );

  test(
    "opening more channels than this side allows fails here, until one is closed",
    async (lab) => {
      const [first] = await lab.open();
      await lab.open();
      await assertFails(lab.a.open(), "limit-exceeded");
      await first.close();
      await lab.open();
    },
    { a: { maxChannels: 2 } },
  );

  test("refused opens free their places", async (lab) => {
    for (let i = 0; i < 10; i++) {
      await assertFails(lab.a.open(), "open-refused");
    }
  }, { a: { maxChannels: 1 }, b: { backlog: 0 } });

  test("an open whose signal has aborted rejects with its reason and asks nothing of the peer", async (lab) => {
    const reason = new Error("too late");
    const signal = AbortSignal.abort(reason);
    assertStrictEquals(await failure(lab.a.open({ signal })), reason);
    // The only channel that comes is the one that was wanted.
    const [there, here] = await openPipes(lab);
    await there.write("x");
    await here.read(1);
  });

  test(
    "an open that is given up rejects with the signal's reason, and its channel is closed when it comes",
    async (lab) => {
      const controller = new AbortController();
      const opening = failure(lab.a.open({ signal: controller.signal }));
      await settled(lab);
      const reason = new Error("no longer wanted");
      controller.abort(reason);
      assertStrictEquals(await opening, reason);
      const orphan = new Pipe(await lab.accept());
      assertEquals(await orphan.rest(), { text: "", error: undefined });
      await orphan.channel.closed;
      await assertFails(orphan.write("anybody?"), "channel-closed");
      // Both places are free again.
      await lab.open();
      await lab.open();
    },
    { a: { maxChannels: 2 } },
  );

  test("a signal that aborts after its open has resolved does nothing", async (lab) => {
    const controller = new AbortController();
    const { signal } = controller;
    const [here, there] = await Promise.all([
      lab.a.open({ signal }),
      lab.accept(),
    ]);
    controller.abort();
    const [a, b] = [new Pipe(here), new Pipe(there)];
    await a.write("x");
    assertEquals((await b.read(1)).length, 1);
  });
}

/**
 * Resolves when what `a` has sent is with `b`, though nobody accepts there:
 * `a` accepts what `b` opens, behind whatever it sent before.
 */
async function settled(lab: Lab): Promise<void> {
  const [channel] = await Promise.all([
    lab.b.open(),
    lab.a[Symbol.asyncIterator]().next(),
  ]);
  await channel.close();
  await channel.closed;
}
