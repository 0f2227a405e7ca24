/**
 * Values that cost more than their size suggests.
 *
 * @module
 */
import { concat, framed } from "../../support/wire.ts";
import type { Attack, Setup } from "../attack.ts";
import { type Attacker, repeatedJson } from "../attacker_side.ts";
import { WITH_VALUES } from "../bounds.ts";

/** Calls with one argument again and again. */
async function callWith(it: Attacker, argument: Uint8Array): Promise<void> {
  const session = await it.session();
  const bytes = concat(it.header("sink"), argument);
  it.check("there is time to send it", !it.signal.aborted);
  while (!it.signal.aborted && session.line.open) {
    const channel = await it.orTimeout(session.open());
    if (channel === undefined) return;
    await it.orTimeout(channel.send(bytes));
    await it.orTimeout(channel.untilClosed());
    it.check(
      "a call is answered",
      it.signal.aborted || channel.received.length > 0,
    );
  }
}

/** An attack by arguments in JSON. */
function json(
  name: string,
  about: string,
  list: { begin?: string; item: string; end?: string },
): Attack {
  return {
    name,
    about,
    memory: WITH_VALUES,
    outcome: "may end",
    run: (it) => callWith(it, repeatedJson(it.maxValueSize, list)),
  };
}

/**
 * An attack by arguments in a binary codec: `[[item, item, …]]`, with a count
 * of 32 bits.
 */
function binary(
  name: string,
  about: string,
  codec: NonNullable<Setup["codec"]>,
  item: number[],
): Attack {
  const [one, many] = codec === "cbor" ? [0x81, 0x9a] : [0x91, 0xdd];
  return {
    name,
    about,
    setup: { codec },
    memory: WITH_VALUES,
    outcome: "may end",
    run: (it) => {
      const count = Math.floor((it.maxValueSize - 6) / item.length);
      const value = new Uint8Array(6 + count * item.length);
      value.set([one!, many!]);
      new DataView(value.buffer).setUint32(2, count);
      value.set(item, 6);
      // Doubles what is there, which takes no time.
      for (let size = item.length; size < value.length - 6; size *= 2) {
        value.copyWithin(6 + size, 6, 6 + size);
      }
      return callWith(it, framed(value));
    },
  };
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  json(
    "json-long-integer",
    "the longest value of small integers, the first of them long",
    { begin: "[[12345678901234567890,", item: "0", end: "]]" },
  ),
  json(
    "json-empty-objects",
    "the longest value of empty objects",
    { begin: "[[", item: "{}", end: "]]" },
  ),
  json(
    "json-pointers",
    "the longest value of pointers to functions",
    { begin: "[[", item: '{"$fnptr":"a"}', end: "]]" },
  ),
  json(
    "json-keys",
    "the longest value that is an object of short keys",
    { begin: "[{", item: '"k":0', end: "}]" },
  ),
  json(
    "json-text",
    "the longest value of short texts, which is legitimate",
    { begin: "[[", item: '"abcdefgh"', end: "]]" },
  ),
  binary(
    "cbor-empty-bytes",
    "the longest value of empty byte strings, in CBOR",
    "cbor",
    [0x40],
  ),
  binary(
    "cbor-empty-maps",
    "the longest value of empty maps, in CBOR",
    "cbor",
    [0xa0],
  ),
  binary(
    "msgpack-empty-bytes",
    "the longest value of empty byte strings, in MessagePack",
    "msgpack",
    [0xc4, 0x00],
  ),
  binary(
    "msgpack-empty-maps",
    "the longest value of empty maps, in MessagePack",
    "msgpack",
    [0x80],
  ),
];
