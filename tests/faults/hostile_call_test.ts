/**
 * Calls that are none. Each costs its channel and no more: the next call on the
 * same session is answered.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CodecError,
  DEFAULT_MAX_DEPTH,
  DEFAULT_PEER_LIMITS,
  type Handler,
  handlerFrom,
  RemoteError,
  RpcError,
} from "@qtalk/qtalk";
import { test } from "../support/harness.ts";
import type { RawPeer } from "../support/raw_peer.ts";
import { assertUsage } from "../support/usage.ts";
import {
  close,
  concat,
  data,
  eof,
  framed,
  fromHex,
  open,
  parseValues,
  utf8,
  values,
} from "../support/wire.ts";
import { within } from "../support/within.ts";

const service: Handler = handlerFrom({ echo: (value: unknown) => value });
const ECHO = values({ Selector: "echo" });
const DEEP = utf8(
  "[".repeat(DEFAULT_MAX_DEPTH + 1) + "]".repeat(DEFAULT_MAX_DEPTH + 1),
);
const HUGE = fromHex("ffffffff");

/** Opens a channel, says these bytes on it, and returns its number. */
async function say(raw: RawPeer, bytes: Uint8Array): Promise<number> {
  await raw.send(open(0));
  const { sender } = await raw.find("open-confirm");
  await raw.send(data(sender, bytes));
  return sender;
}

/** The payload of the answer, up to CLOSE, which must come. */
async function answer(raw: RawPeer): Promise<Uint8Array> {
  const payload: Uint8Array[] = [];
  for (;;) {
    const frame = await within(raw.next(), "the answer, or CLOSE");
    assert(frame !== null, "the session ended");
    if (frame.type === "data") payload.push(frame.payload);
    if (frame.type === "close") return concat(...payload);
  }
}

/** The session is as good as before. */
async function assertServes(raw: RawPeer): Promise<void> {
  const id = await say(raw, concat(ECHO, values(["still here"])));
  assertEquals(parseValues(await answer(raw))[1], "still here");
  await raw.send(close(id));
}

/** Bytes that are no call header, and the code of the error that says so. */
const NO_HEADERS: Record<string, [bytes: Uint8Array, code: string]> = {
  "an array": [values(["echo"]), "malformed-header"],
  "a string": [values("echo"), "malformed-header"],
  "a number": [values(7), "malformed-header"],
  "null": [values(null), "malformed-header"],
  "a map whose selector is a number": [
    values({ Selector: 7 }),
    "malformed-header",
  ],
  "a map whose selector is a list": [
    values({ Selector: ["echo"] }),
    "malformed-header",
  ],
  "a map with a key twice": [
    framed(utf8('{"Selector":"echo","Selector":"echo"}')),
    "malformed-header",
  ],
  "a map with a key in two cases": [
    values({ Selector: "echo", selector: "other" }),
    "malformed-header",
  ],
  "a map with two selectors": [
    values({ Selector: "echo", S: "other" }),
    "malformed-header",
  ],
  "a map with a field of the reference's struct": [
    values({ Selector: "echo", Context: {} }),
    "malformed-header",
  ],
  "nothing": [framed(new Uint8Array(0)), "truncated"],
  "half a map": [framed(utf8('{"Selector":"ec')), "malformed"],
  "two maps": [framed(utf8("{}{}")), "malformed"],
  "zero bytes": [framed(new Uint8Array(64)), "malformed"],
  "a map nested too deep": [
    framed(concat(utf8('{"Selector":"echo","x":'), DEEP, utf8("}"))),
    "too-deep",
  ],
  "a map in CBOR": [
    // {"Selector": "echo"}
    framed(fromHex("a16853656c6563746f72646563686f")),
    "malformed-header",
  ],
  "a map in MessagePack": [
    framed(fromHex("81a853656c6563746f72a46563686f")),
    "malformed-header",
  ],
  "4 GiB long, as it says": [concat(HUGE, utf8("{")), "too-large"],
  "a byte longer than a value may be": [
    concat(
      fromHex(
        (DEFAULT_PEER_LIMITS.maxValueSize + 1).toString(16).padStart(8, "0"),
      ),
      utf8("{"),
    ),
    "too-large",
  ],
};

for (const [what, [bytes, code]] of Object.entries(NO_HEADERS)) {
  test(`hostile calls: a header that is ${what} closes its channel and is reported as ${code}`, async (t) => {
    const errors: unknown[] = [];
    const { peer, raw } = t.scriptedPeer({
      handler: service,
      onError: (error, { selector }) => errors.push(error, selector),
    });
    const id = await say(raw, bytes);
    assertEquals((await answer(raw)).length, 0, "nothing was called");
    await raw.send(close(id));
    const [error, selector] = errors;
    assert(error instanceof RpcError || error instanceof CodecError);
    assertEquals([error.code, selector, errors.length], [code, undefined, 2]);
    await assertServes(raw);
    assertUsage(peer.session, { channels: 0, slots: 0 });
    await raw.end();
    await peer.closed;
    assertEquals(errors.length, 2);
  });
}

/** Calls that end inside their header. */
for (
  const [what, ending] of [["EOF", eof], ["CLOSE", close]] as const
) {
  test(`hostile calls: a header that is cut off by ${what} is reported, and leaves nothing`, async (t) => {
    const errors: unknown[] = [];
    const { peer, raw } = t.scriptedPeer({
      handler: service,
      onError: (error) => errors.push(error),
    });
    for (let size = 0; size < ECHO.length; size++) {
      await raw.send(open(0));
      const { sender } = await raw.find("open-confirm");
      await raw.send(data(sender, ECHO.subarray(0, size)), ending(sender));
      assertEquals((await answer(raw)).length, 0);
      if (what === "EOF") await raw.send(close(sender));
    }
    // A channel that never said anything is no call, and no error.
    assertEquals(
      errors.map((error) => (error as CodecError).code),
      Array.from({ length: ECHO.length - 1 }, () => "truncated"),
    );
    await assertServes(raw);
    assertUsage(peer.session, { channels: 0, slots: 0 });
    await raw.end();
    await peer.closed;
  });
}

/** Objects that each have another key, which counts as many items. */
function otherKeys(count: number): string {
  return Array.from({ length: count }, (_, i) => `{"${i}x":0}`).join(",");
}

/** Arguments that are none, and what the caller hears. */
const NO_ARGUMENTS: Record<
  string,
  { bytes: Uint8Array; ends?: boolean; text: string }
> = {
  "4 GiB long, as they say": {
    bytes: concat(HUGE, utf8("[")),
    text: "its 4294967295 bytes exceed the limit of 1048576 bytes",
  },
  "cut off": {
    bytes: values(["never whole"]).subarray(0, 9),
    ends: true,
    text: "the stream ended after 5 of",
  },
  "cut off in their length": {
    bytes: HUGE.subarray(0, 2),
    ends: true,
    text: "the stream ended inside its length",
  },
  "nested too deep": { bytes: framed(DEEP), text: "nested deeper than 512" },
  "too many items": {
    bytes: framed(utf8(`[[${otherKeys(5_000)}]]`)),
    text: 'it has more than 100000 items, the limit of option "maxItems"',
  },
  "a long integer and too many items": {
    bytes: framed(utf8(`[[12345678901234567890,${otherKeys(3_500)}]]`)),
    text: 'it has more than 100000 items, the limit of option "maxItems"',
  },
  "no JSON": { bytes: framed(utf8("[1,")), text: "Cannot decode value" },
  "no bytes": { bytes: framed(new Uint8Array(0)), text: "Cannot decode value" },
  "in CBOR": { bytes: framed(fromHex("8101")), text: "Cannot decode value" },
  "a map": { bytes: values({ a: 1 }), text: "expected an array, got object" },
  "too few": { bytes: values([]), text: "fn: expected 1 params, got 0" },
};

for (const [what, { bytes, ends, text }] of Object.entries(NO_ARGUMENTS)) {
  test(`hostile calls: arguments that are ${what} get an error response`, async (t) => {
    const { peer, raw } = t.scriptedPeer({ handler: service });
    const id = await say(raw, concat(ECHO, bytes));
    if (ends) await raw.send(eof(id));
    const [header, value] = parseValues(await answer(raw)) as [
      { Error: string },
      unknown,
    ];
    assert(header.Error.includes(text), header.Error);
    assertEquals(value, null);
    await raw.send(close(id));
    await assertServes(raw);
    assertUsage(peer.session, { channels: 0, slots: 0 });
    await raw.end();
    await peer.closed;
  });
}

test("hostile calls: pointers in a value are bounded by its items", async (t) => {
  const [client, server] = t.pair();
  server.handle("count", handlerFrom((list: unknown[]) => list.length));
  const pointers = (count: number) => [Array(count).fill({ $fnptr: "x" })];
  assertEquals(await client.call("count", pointers(19_990)), 19_990);
  const { text } = await assertRejects(
    () => client.call("count", pointers(20_001)),
    RemoteError,
  );
  assert(text.includes("it has more than 100000 items"), text);
});
