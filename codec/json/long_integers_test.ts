import { assert, assertEquals, assertThrows } from "@std/assert";
import { forSeeds, type Random } from "../../tests/support/random.ts";
import { utf8 } from "../../tests/support/wire.ts";
import { CodecError } from "../errors.ts";
import { json } from "../json.ts";

const codec = json({ bigint: true });

function decoded(text: string): unknown {
  return codec.decode(utf8(text));
}

/** What `JSON.parse()` makes of a text with a reviver: correct, and slow. */
function revived(text: string): unknown {
  const reviver = (_: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && !Number.isSafeInteger(value) &&
      /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context!.source!)
      : value;
  return JSON.parse(text, reviver);
}

function anyJson(random: Random, depth: number): string {
  const digits = () =>
    String(random.int(1, 9)) + Array.from(
      { length: random.pick([0, 3, 14, 15, 16, 17, 20, 40]) },
      () => random.int(0, 9),
    ).join("");
  // V8's JSON.parse() confuses keys with escapes that it has seen before.
  const key = () =>
    JSON.stringify(random.pick(["", "a", "é€", digits(), "__proto__", "7"]));
  const text = () => random.pick([key(), '"\\"\\\\"', '"\\u0000"']);
  const list = (make: () => string) =>
    Array.from({ length: random.int(0, 6) }, make).join(
      random.pick([",", " , "]),
    );
  switch (random.int(0, depth > 0 ? 6 : 3)) {
    case 0:
      return random.pick(["null", "true", "1.5", "-0", "1e300"]);
    case 1:
      return text();
    case 2:
    case 3:
      return random.pick(["", "-"]) + digits() +
        random.pick(["", "", "", ".5", "e3", ".0"]);
    case 4:
      return `[${list(() => anyJson(random, depth - 1))}]`;
    default:
      return `{${
        list(() =>
          `${key()}${random.pick([":", " : "])}${anyJson(random, depth - 1)}`
        )
      }}`;
  }
}

Deno.test("LongIntegers: any text is decoded as with a reviver", () =>
  forSeeds(500, (random) => {
    const text = anyJson(random, 4);
    assertEquals(decoded(text), revived(text), text);
  }));

Deno.test("LongIntegers: of a key twice, the last value holds", () => {
  const long = "12345678901234567890";
  assertEquals(decoded(`{"a":${long},"a":1}`), { a: 1 });
  assertEquals(decoded(`{"a":1,"a":${long}}`), { a: BigInt(long) });
  assertEquals(decoded(`{"a":${long},"a":"${long}"}`), { a: long });
  assertEquals(decoded(`{"a":[${long}],"\\u0061":[${long}.5]}`), {
    a: [Number(long)],
  });
});

Deno.test("LongIntegers: a key named __proto__ stays a key", () => {
  const value = decoded('[{"__proto__":12345678901234567890}]') as object[];
  assertEquals(Object.keys(value[0]!), ["__proto__"]);
  assertEquals(
    Object.getOwnPropertyDescriptor(value[0], "__proto__")?.value,
    12345678901234567890n,
  );
  assert(Object.getPrototypeOf(value[0]) === Object.prototype);
});

Deno.test("LongIntegers: strings that look like what is put in their place stay", () => {
  // The mark is random, so the best guess is another codec's.
  const texts = [
    "\u0000",
    "0".repeat(32),
    "f".repeat(40),
    "12345678901234567890",
  ];
  const value = [
    2n ** 70n,
    ...texts,
    ...texts.map((text) => ({ [text]: text })),
  ];
  assertEquals(codec.decode(codec.encode(value)), value);
});

Deno.test("LongIntegers: errors are those of the text as it came", () => {
  for (const size of [0, 2_000]) {
    for (const end of [" x]", "", "]]", ":"]) {
      const text = `[${"1,".repeat(size)}12345678901234567890${end}`;
      const { message } = assertThrows(() => JSON.parse(text), SyntaxError);
      const error = assertThrows(() => decoded(text), CodecError);
      assertEquals(error.code, "malformed");
      assertEquals(error.message, `Cannot decode value as JSON: ${message}`);
    }
  }
});

Deno.test("LongIntegers: one that is too long is refused before anything is built", () => {
  const error = assertThrows(
    () => decoded(`[12345678901234567890,{"a":-${"9".repeat(4_096)}}]`),
    CodecError,
    "an integer has 4097 digits",
  );
  assertEquals(error.code, "malformed");
});
