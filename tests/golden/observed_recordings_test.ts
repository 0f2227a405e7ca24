// What Go programs said to each other, read from the bytes as a tap reads it.

import { cbor } from "@qtalk/qtalk/codec/cbor";
import { json } from "@qtalk/qtalk/codec";
import { assert, assertEquals } from "@std/assert";
import type { End, ObservedEvent } from "../../talk/observe/events.ts";
import { Tracer } from "../../talk/observe/session_trace.ts";
import { fromHex, toHex } from "../support/wire.ts";
import type { Side } from "./capture.ts";
import goCbor from "./go_cbor.json" with { type: "json" };
import goJson from "./go_json.json" with { type: "json" };
import { recordings, selectorOf } from "./recordings.ts";
import type { CodecName } from "./wire_value.ts";

const FILES = { json: goJson, cbor: goCbor };
const END: Record<Side, End> = { client: "near", server: "far" };

/** The frames of an exchange, each with the side that sent it. */
function framesOf(codec: CodecName, index: number): [Side, Uint8Array][] {
  const { script } = FILES[codec].exchanges[index]!;
  return (script as Record<string, string | undefined>[]).flatMap((line) => {
    for (const side of ["client", "server"] as const) {
      const hex = line[side];
      if (hex !== undefined) return [[side, fromHex(hex)] as const];
    }
    return [];
  }) as [Side, Uint8Array][];
}

/** What a tap reports of an exchange. */
function observed(
  frames: [Side, Uint8Array][],
  size = Infinity,
): ObservedEvent[] {
  const events: ObservedEvent[] = [];
  let now = 0;
  const trace = new Tracer({
    codecs: [json({ bigint: true }), cbor()],
    onEvent: (event) => void events.push(event),
    now: () => now++,
  }).session("tcp://127.0.0.1:1");
  for (const [side, bytes] of frames) {
    for (let at = 0; at < bytes.length; at += size) {
      trace.push(END[side], bytes.subarray(at, at + size));
    }
  }
  trace.end("near");
  trace.end("far");
  trace.close();
  return events;
}

/** A value for comparison: of a long one, a tap keeps the beginning. */
function shortened(bytes: Uint8Array, size = bytes.length): string {
  return `${size} bytes: ${toHex(bytes.subarray(0, 1_000))}`;
}

/** The bytes of all values of each channel and side, headers left out. */
function valuesIn(events: ObservedEvent[]): Record<string, string[]> {
  const values: Record<string, string[]> = {};
  for (const event of events) {
    if (
      event.type !== "call" && event.type !== "answer" && event.type !== "value"
    ) continue;
    const value = event.type === "call" ? event.argument : event.value;
    if (value === undefined) continue;
    (values[`${event.channel.number} ${event.by}`] ??= [])
      .push(shortened(value.bytes, value.size));
  }
  return values;
}

/**
 * Bytes of each channel and side that are in no value and in no event of bytes,
 * without the header of a call or a response.
 */
function unaccounted(events: ObservedEvent[]): Record<string, number> {
  const left: Record<string, number> = {};
  const headers = new Set<string>();
  for (const event of events) {
    if (event.type === "frame" && event.name === "DATA") {
      if (event.channel === undefined) continue;
      const key = `${event.channel.number} ${event.by}`;
      left[key] = (left[key] ?? 0) + event.size!;
    } else if (event.type === "bytes") {
      left[`${event.channel.number} ${event.by}`]! -= event.size;
    } else if (
      event.type === "call" || event.type === "answer" || event.type === "value"
    ) {
      const key = `${event.channel.number} ${event.by}`;
      if (event.type !== "value") headers.add(key);
      const value = event.type === "call" ? event.argument : event.value;
      if (value !== undefined) left[key]! -= 4 + value.size;
    }
  }
  return Object.fromEntries(
    Object.entries(left).filter(([key, bytes]) => {
      const isHeader = headers.has(key) && bytes > 4 && bytes < 200;
      return bytes !== 0 && !isHeader;
    }),
  );
}

/** The selectors that become streams of bytes after their first values. */
const BYTE_STREAMS = /^\/(bytes|Bytes|greet|sink|source|die-in-bytes)$/;

for (const codec of ["json", "cbor"] as const) {
  Deno.test(`observed recordings: every call and value of Go peers is found, in ${codec}`, () => {
    let calls = 0;
    let compared = 0;
    for (const [index, recording] of recordings[codec].entries()) {
      const frames = framesOf(codec, index);
      const events = observed(frames);
      const { name, channels } = recording;
      const malformed = events.filter((event) =>
        event.type === "direction" && event.state === "malformed"
      );
      assertEquals(malformed, [], name);
      const names = events.flatMap((event) =>
        event.type === "frame" ? [event.name] : []
      );
      assertEquals(names.length, frames.length, name);
      const selectors = events.flatMap((event) =>
        event.type === "call" ? [event.call.selector] : []
      );
      const expected = channels.flatMap((channel) =>
        selectorOf(channel) === undefined ? [] : [selectorOf(channel)!]
      );
      const canonical = (selector: string) =>
        `/${selector.replaceAll(".", "/").replace(/^\//, "")}`;
      assertEquals(
        selectors.map(canonical).sort(),
        expected.map(canonical).sort(),
        name,
      );
      calls += selectors.length;
      const values = valuesIn(events);
      for (const [at, channel] of channels.entries()) {
        const selector = selectorOf(channel);
        if (selector === undefined || BYTE_STREAMS.test(selector)) continue;
        for (const side of ["client", "server"] as const) {
          const said = channel.said[side].values.slice(1)
            .map((value) => shortened(value));
          const found = values[`${at + 1} ${END[side]}`] ?? [];
          assertEquals(found, said, `${name}: channel ${at + 1}, ${side}`);
          compared += found.length;
        }
      }
      assertEquals(unaccounted(events), {}, name);
      const ends = events.filter(({ type }) => type === "call-end");
      assertEquals(ends.length, selectors.length, name);
    }
    assert(calls > 250 && compared > 600, `${calls} calls, ${compared} values`);
  });

  Deno.test(`observed recordings: the bytes in any chunks are the same frames and values, in ${codec}`, () => {
    for (const [index, { name }] of recordings[codec].entries()) {
      const frames = framesOf(codec, index);
      const whole = observed(frames);
      const cut = observed(frames, 1);
      const framesIn = (events: ObservedEvent[]) =>
        events.flatMap((event) =>
          event.type === "frame" ? [[event.name, event.by, event.size]] : []
        );
      assertEquals(framesIn(cut), framesIn(whole), name);
      assertEquals(valuesIn(cut), valuesIn(whole), name);
    }
  });
}
