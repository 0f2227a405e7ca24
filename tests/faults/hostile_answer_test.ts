/**
 * Answers that are none. Each fails its call with a typed error and closes its
 * channel; the session goes on.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import {
  CodecError,
  DEFAULT_MAX_DEPTH,
  MuxError,
  type Peer,
  RemoteError,
  RpcError,
} from "@qtalk/qtalk";
import { test } from "../support/harness.ts";
import type { RawPeer } from "../support/raw_peer.ts";
import { assertUsage } from "../support/usage.ts";
import {
  close,
  concat,
  confirm,
  data,
  eof,
  failure,
  framed,
  fromHex,
  utf8,
  values,
} from "../support/wire.ts";
import { turn, within } from "../support/within.ts";

const OK = values({ Error: null, Continue: false });
const GO_ON = values({ Error: null, Continue: true });
const DEEP = utf8(
  "[".repeat(DEFAULT_MAX_DEPTH + 1) + "]".repeat(DEFAULT_MAX_DEPTH + 1),
);
const HUGE = fromHex("ffffffff");
const none = new Uint8Array(0);

/** Objects that each have another key, which counts as many items. */
const OTHER_KEYS = `[${
  Array.from({ length: 5_000 }, (_, i) => `{"${i}x":0}`).join(",")
}]`;

/** What the other side says on the channel, and what becomes of the call. */
interface Answer {
  bytes: Uint8Array;
  ends?: "eof" | "close";
  error: string;
  text?: string;
}

const ANSWERS: Record<string, Answer> = {
  "nothing, then EOF": { bytes: none, ends: "eof", error: "no-response" },
  "nothing, then CLOSE": { bytes: none, ends: "close", error: "no-response" },
  "half a length": {
    bytes: OK.subarray(0, 2),
    ends: "close",
    error: "truncated",
  },
  "half a header": {
    bytes: OK.subarray(0, 20),
    ends: "eof",
    error: "truncated",
  },
  "an array for a header": { bytes: values([1]), error: "malformed-header" },
  "a string for a header": { bytes: values("ok"), error: "malformed-header" },
  "null for a header": { bytes: values(null), error: "malformed-header" },
  "a header whose Error is a map": {
    bytes: values({ Error: {}, Continue: false }),
    error: "malformed-header",
    text: '"Error" has the wrong type',
  },
  "a header whose Continue is a text": {
    bytes: values({ Error: null, Continue: "no" }),
    error: "malformed-header",
    text: '"Continue" has the wrong type',
  },
  "a header in CBOR": {
    bytes: framed(fromHex("a2654572726f72f668436f6e74696e7565f4")),
    error: "codec-mismatch",
    text: "it looks like CBOR, but the call was made in JSON",
  },
  "a header that is no JSON": {
    bytes: framed(utf8("{Error:null}")),
    error: "malformed",
  },
  "a header 4 GiB long, as it says": { bytes: HUGE, error: "too-large" },
  "a value 4 GiB long, as it says": {
    bytes: concat(OK, HUGE),
    error: "too-large",
    text: "its 4294967295 bytes exceed the limit of 1048576 bytes",
  },
  "half a value": {
    bytes: concat(OK, values("never whole").subarray(0, 8)),
    ends: "close",
    error: "truncated",
  },
  "a value that is no JSON": {
    bytes: concat(OK, framed(utf8("nul"))),
    error: "malformed",
  },
  "a value nested too deep": {
    bytes: concat(OK, framed(DEEP)),
    error: "too-deep",
  },
  "a value with too many items": {
    bytes: concat(OK, framed(utf8(OTHER_KEYS))),
    error: "too-many-items",
    text: 'it has more than 100000 items, the limit of option "maxItems"',
  },
  "a continued response without a value that can be read": {
    bytes: concat(GO_ON, framed(utf8("?"))),
    error: "malformed",
  },
  "an error, though it says it continues": {
    bytes: concat(values({ Error: "no", Continue: true }), values(1)),
    error: "remote",
    text: "no",
  },
  "an error without a text": {
    bytes: concat(values({ Error: "", Continue: false }), values(null)),
    error: "remote",
  },
};

function codeOf(error: unknown): string {
  if (error instanceof RemoteError) return "remote";
  assert(
    error instanceof RpcError || error instanceof CodecError ||
      error instanceof MuxError,
    `an error of ours, not ${error}`,
  );
  return error.code;
}

/** Answers the next OPEN; returns its number. */
async function accept(raw: RawPeer): Promise<number> {
  const { sender } = await raw.find("open");
  await raw.send(confirm(sender, sender));
  return sender;
}

/** One more call on the session is answered. */
async function assertCalls(peer: Peer, raw: RawPeer): Promise<void> {
  const call = peer.call("again");
  // Its channel may be one of those that were opened ahead.
  for (;;) {
    const frame = await within(raw.next(), "the next call");
    assert(frame !== null, "the session ended");
    if (frame.type === "open") {
      await raw.send(confirm(frame.sender, frame.sender));
    }
    if (frame.type !== "data") continue;
    // Channels carry the same number on both sides here.
    await raw.send(
      data(frame.recipient, concat(OK, values("fine"))),
      close(frame.recipient),
    );
    break;
  }
  assertEquals(await within(call, "the answer"), "fine");
}

for (const [what, { bytes, ends, error, text }] of Object.entries(ANSWERS)) {
  for (const method of ["call", "request"] as const) {
    test(`hostile answers: ${what} fails the ${method} with ${error}`, async (t) => {
      const { peer, raw } = t.scriptedPeer();
      const calling = peer[method]("it").then(() => undefined, (e) => e);
      const id = await accept(raw);
      await raw.find("data");
      await raw.send(data(id, bytes));
      if (ends) await raw.send(ends === "eof" ? eof(id) : close(id));
      const failure = await within(calling, "the call to fail");
      assertEquals(codeOf(failure), error);
      if (text) assert(failure.message.includes(text), failure.message);
      // Whatever else comes for it is late.
      await raw.find("close");
      await raw.send(data(id, values("late")));
      if (ends !== "close") await raw.send(close(id));
      await assertCalls(peer, raw);
      await raw.end();
      await peer.closed;
      assertUsage(peer.session, { channels: 0, slots: 0 });
    });
  }
}

test("hostile answers: a call whose channel is refused fails with open-refused", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const calling = peer.call("it").catch((error) => error);
  const { sender } = await raw.expect("open");
  await raw.send(failure(sender));
  assertEquals(codeOf(await within(calling, "the call")), "open-refused");
  await assertCalls(peer, raw);
});

test("hostile answers: after a value that breaks the stream every read fails alike", async (t) => {
  const cases: [Uint8Array, string][] = [
    [HUGE, "too-large"],
    [values("cut").subarray(0, 6), "truncated"],
  ];
  for (const [bytes, code] of cases) {
    const { peer, raw } = t.scriptedPeer();
    const requesting = peer.request("it");
    const id = await accept(raw);
    await raw.find("data");
    await raw.send(data(id, concat(GO_ON, values(1, 2), bytes)), eof(id));
    const response = await requesting;
    assertEquals(await response.receive(), 2);
    for (let i = 0; i < 3; i++) {
      const error = await within(
        response.receive().catch((error) => error),
        "a read",
      );
      assertEquals(codeOf(error), code);
    }
    await response.close();
    await raw.send(close(id));
    await raw.end();
    await peer.closed;
  }
});

test("hostile answers: a value that cannot be decoded fails one read, and the next value is read", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const requesting = peer.request("it");
  const id = await accept(raw);
  await raw.find("data");
  await raw.send(
    data(id, concat(GO_ON, values(1), framed(utf8("?")), values(3))),
    eof(id),
  );
  const response = await requesting;
  const error = await response.receive().catch((error) => error);
  assertEquals(codeOf(error), "malformed");
  assertEquals(await response.receive(), 3);
  assertEquals(await response.receive(), undefined);
  await response.close();
});

test("hostile answers: bytes on channels opened ahead of need are dropped with them", async (t) => {
  const { peer, raw } = t.scriptedPeer({ session: { maxChannels: 8 } });
  let filled = 0;
  for (let round = 0; round < 20; round++) {
    const call = peer.call("it");
    const spare = new Set<number>();
    /** Confirms what is opened; returns the channel of the call, if it came. */
    const hear = async (): Promise<number | undefined> => {
      const frame = await within(raw.next(), "the call");
      assert(frame !== null);
      if (frame.type === "data") return frame.recipient;
      if (frame.type === "open") {
        spare.add(frame.sender);
        await raw.send(confirm(frame.sender, frame.sender));
      }
      return undefined;
    };
    let id: number | undefined;
    while (id === undefined) id = await hear();
    spare.delete(id);
    await raw.send(data(id, concat(OK, values(round))), close(id));
    assertEquals(await call, round);
    await turn();
    while (raw.pending.length > 0) await hear();
    // What waits to be used next is filled, and closed.
    for (const id of spare) {
      await raw.send(data(id, new Uint8Array(1_000)), close(id));
      filled++;
    }
  }
  // What waited to be used has no call to be read by: the next one drops it.
  await assertCalls(peer, raw);
  assertGreater(filled, 10);
  await raw.end();
  await peer.closed;
  assertUsage(peer.session, { channels: 0, slots: 0 });
});
