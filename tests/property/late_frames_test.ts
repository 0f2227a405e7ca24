/**
 * The reference says things late, early and twice: DATA, EOF or CLOSE before
 * its CONFIRM, DATA behind its own EOF or CLOSE, two EOFs, anything at all
 * behind our CLOSE. Whatever the order, the session goes on.
 *
 * @module
 */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import type { Channel, Session } from "@qtalk/qtalk";
import { test } from "../support/harness.ts";
import { forSeeds, type Random } from "../support/random.ts";
import type { RawPeer } from "../support/raw_peer.ts";
import { assertUsage } from "../support/usage.ts";
import {
  adjust,
  close,
  concat,
  confirm,
  data,
  eof,
  type Frame,
  open,
} from "../support/wire.ts";
import { turn, within } from "../support/within.ts";

/** The number that the scripted end gives the channel under test. */
const THEIRS = 7;

/** What the scripted end says on the channel, in which order. */
function script(random: Random): string[] {
  const words = Array.from(
    { length: random.int(0, 8) },
    () => random.pick(["data", "data", "data", "empty", "adjust"]),
  );
  const insert = (word: string) =>
    words.splice(random.int(0, words.length), 0, word);
  for (let i = random.int(0, 2); i > 0; i--) insert("eof");
  insert("close");
  insert("confirm");
  return words;
}

/** Our end, once it is open: does one thing of its own now and then. */
class OurEnd {
  readonly received: Uint8Array[] = [];
  /** Whether we closed or cancelled, so that bytes may be missing. */
  disturbed = false;
  readonly #channel: Channel;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #reading: Promise<void> | undefined;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#writer = channel.writable.getWriter();
    this.#writer.closed.catch(() => {});
  }

  act(random: Random): void {
    const dice = random.next();
    if (dice < 0.3) this.#write(random.int(1, 300));
    else if (dice < 0.5) this.read();
    else if (dice < 0.6) this.#writer.close().catch(() => {});
    else if (dice < 0.7) this.#disturb(() => this.#channel.close());
    else if (dice < 0.75) this.#disturb(() => this.#writer.abort());
    else if (dice < 0.8 && this.#reading === undefined) {
      this.#disturb(() => this.#channel.readable.cancel());
      this.#reading = Promise.resolve();
    }
  }

  read(): void {
    this.#reading ??= (async () => {
      for await (const chunk of this.#channel.readable) {
        this.received.push(chunk);
      }
    })();
  }

  async finish(): Promise<void> {
    this.read();
    await this.#reading;
    await this.#channel.close();
    await this.#channel.closed;
  }

  #write(size: number): void {
    // Node throws where other runtimes reject: in the turn of a close()
    // (whatwg/streams#1218).
    const write = async () => await this.#writer.write(new Uint8Array(size));
    write().catch(() => {});
  }

  #disturb(how: () => Promise<void>): void {
    this.disturbed = true;
    how().catch(() => {});
  }
}

/** Opens the channel from either side; theirs is confirmed at once. */
function begin(
  session: Session,
  raw: RawPeer,
  ours: boolean,
): { opened: Promise<Channel>; id: Promise<number> } {
  if (ours) {
    return {
      opened: session.open(),
      id: raw.expect("open").then(({ sender }) => sender),
    };
  }
  const { promise: opened, resolve } = Promise.withResolvers<Channel>();
  session.accept(resolve);
  const id = raw.send(open(THEIRS, 1_000))
    .then(() => raw.expect("open-confirm"))
    .then(({ sender }) => sender);
  return { opened, id };
}

/** What our side said on the channel must be in order, whatever it heard. */
function assertOrderly(frames: readonly Frame[]): void {
  const types = frames
    .filter((f) => "recipient" in f && f.recipient === THEIRS)
    .map(({ type }) => type);
  assertEquals(types.filter((type) => type === "close").length, 1);
  assertEquals(types.at(-1), "close", "a frame behind our CLOSE");
  const ended = types.indexOf("eof");
  if (ended >= 0) {
    assertEquals(types.lastIndexOf("eof"), ended);
    assert(!types.includes("data", ended), "DATA behind our EOF");
  }
}

test("late frames: frames that come early, late or twice harm neither channel nor session", async (t) => {
  await forSeeds(400, async (random) => {
    const { session, raw } = t.script();
    const ours = random.chance(0.5);
    const { opened, id: asked } = begin(session, raw, ours);
    const id = await within(asked, "the channel ID");
    let end: OurEnd | undefined;
    const openedEnd = opened.then((channel) => end = new OurEnd(channel));

    const expected: Uint8Array[] = [];
    let over = false;
    for (const word of script(random)) {
      if (word === "confirm") {
        if (ours) await raw.send(confirm(id, THEIRS, 1_000));
      } else if (word === "data") {
        const payload = random.bytes(random.int(1, 2_000));
        if (!over) expected.push(payload);
        await raw.send(data(id, payload));
      } else if (word === "empty") await raw.send(data(id, ""));
      else if (word === "adjust") {
        await raw.send(adjust(id, random.int(0, 500)));
      } else {
        over = true;
        await raw.send(word === "eof" ? eof(id) : close(id));
      }
      if (random.chance(0.3)) await turn();
      if (random.chance(0.4)) end?.act(random);
    }
    await within(openedEnd, "the channel to open");
    await within(end!.finish(), "the channel to close");

    const received = concat(...end!.received);
    const all = concat(...expected);
    assertLessOrEqual(received.length, all.length);
    assertEquals(received, all.subarray(0, received.length));
    if (!end!.disturbed) assertEquals(received.length, all.length);
    assertUsage(session, { channels: 0, slots: 0 });

    // Late words for a channel that is gone, and the session still works.
    await raw.send(data(id, "late"), adjust(id, 1), eof(id), close(id));
    const opening = session.open();
    const said: Frame[] = [];
    for (let frame; (frame = await raw.next()) !== null;) {
      said.push(frame);
      if (frame.type === "open") break;
    }
    assertOrderly(said);
    const { sender } = said.at(-1) as Frame & { type: "open" };
    await raw.send(confirm(sender, THEIRS + 1));
    await within(opening, "one more channel");
    await raw.end();
    await within(session.closed, "a clean end");
  });
});
