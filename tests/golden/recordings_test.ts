import { assert, assertEquals } from "@std/assert";
import type { Side } from "./capture.ts";
import { exceptionFor, EXCEPTIONS } from "./exceptions.ts";
import { RFC_8949_BOTH_WAYS } from "./cbor_vectors.ts";
import { valueText } from "./outcome.ts";
import { contentsOf, plainName, recordings } from "./recordings.ts";
import { replayedBy } from "./replay_case.ts";
import { type CodecName, notation, readValue } from "./wire_value.ts";
import { fromHex, utf8 } from "../support/wire.ts";

const codecs = ["json", "cbor"] as const;

Deno.test("golden: the files have as many exchanges of each kind as were recorded", () => {
  const both = {
    several: 19,
    values: 42,
    bytes: 13,
    callback: 20,
    function: 13,
    end: 8,
    open: 4,
    window: 6,
    proxy: 12,
  };
  assertEquals(contentsOf("json").kinds, { ...both, call: 122, cancel: 9 });
  assertEquals(contentsOf("cbor").kinds, { ...both, call: 129, cancel: 8 });
});

Deno.test("golden: every exchange is replayed on each side, and so many match", () => {
  const count = (side: Side, codec: CodecName) => {
    const all = replayedBy(side, codec);
    const match = all.filter((one) => exceptionFor(side, one) === undefined);
    return [match.length, all.length];
  };
  const legs = (codec: CodecName, leg: string) =>
    recordings[codec].filter(({ name }) => name.endsWith(`, ${leg} leg`));
  const counts = codecs.map((codec) => [
    codec,
    recordings[codec].length,
    count("server", codec),
    count("client", codec),
    legs(codec, "front").length,
    legs(codec, "back").length,
  ]);
  assertEquals(counts, [
    ["json", 268, [249, 262], [239, 262], 6, 6],
    ["cbor", 274, [254, 268], [243, 268], 6, 6],
  ]);
});

Deno.test("golden: every exception is for recordings that there are, and one only", () => {
  for (const { side, names, codec, reason } of EXCEPTIONS) {
    for (const each of codec === undefined ? codecs : [codec]) {
      for (const name of names) {
        const found = replayedBy(side, each).filter((recording) =>
          plainName(recording) === name
        );
        assert(found.length > 0, `${side}, ${each}: ${name}: ${reason}`);
        for (const recording of found) {
          const exception = exceptionFor(side, recording);
          assertEquals(exception?.reason, reason, name);
        }
      }
    }
  }
});

Deno.test("golden: values are read from the wire as the vectors of RFC 8949 say", () => {
  for (const [hex, value] of RFC_8949_BOTH_WAYS) {
    // Of integral floats, an outcome has the digits.
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) continue;
    const read = notation(readValue("cbor", fromHex(hex)));
    assertEquals(read, valueText(value), hex);
  }
  const floats = [
    ["f90000", "0.0"],
    ["f98000", "-0.0"],
    ["f93c00", "1.0"],
    ["fa47c35000", "100000.0"],
    ["fb7e37e43c8800759c", "1e+300.0"],
    ["fb7ff8000000000000", "NaN"],
  ] as const;
  for (const [hex, text] of floats) {
    assertEquals(notation(readValue("cbor", fromHex(hex))), text);
  }
});

Deno.test("golden: values are read from JSON with their numbers as they are", () => {
  const forms = [
    ["9223372036854775807", "9223372036854775807"],
    ["100.0", "100"],
    ["1e2", "100"],
    ["-0", "-0.0"],
    ["0.5", "0.5"],
    ['{"b":[1,null],"a":"é"}', '{"a": "é", "b": [1, null]}'],
    ['{"__proto__":true}', '{"__proto__": true}'],
  ] as const;
  for (const [json, text] of forms) {
    assertEquals(notation(readValue("json", utf8(json))), text);
  }
});
