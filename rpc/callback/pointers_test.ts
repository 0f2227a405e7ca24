import { assertEquals } from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { utf8 } from "../../tests/support/wire.ts";
import { countMentions, mentionsPointer } from "./pointers.ts";

const KEY = "$fnptr";

/** The key, some of whose characters are escapes. */
const MENTION = new RegExp(
  [...KEY].map((char) => {
    const hex = char.charCodeAt(0).toString(16);
    const digits = [...hex].map((digit) => `[${digit}${digit.toUpperCase()}]`);
    return `(?:[${char}]|\\\\u00${digits.join("")})`;
  }).join(""),
  "g",
);

/** What is close to a key, or to an escape. */
const NEAR_MISSES = [
  ...["$", "\\", "\\u", "\\u0", "\\u00", "\\u002", "$fnpt", "fnptr", "$$fnptr"],
  ...["\\u0022", "\\u0025", "\\u006f", "$fn", "\\\\u0024", "002424", "$Fnptr"],
];

Deno.test("countMentions: keys are found at any offset, with any escapes, among what is close to them", () =>
  forSeeds(300, (random) => {
    const escaped = (char: string) => {
      const hex = char.charCodeAt(0).toString(16).padStart(4, "0");
      return `\\u${random.pick([true, false]) ? hex : hex.toUpperCase()}`;
    };
    const key = () => {
      const share = random.pick([0, 0, 1, 3, 6]);
      return [...KEY]
        .map((char) => random.int(0, 6) < share ? escaped(char) : char)
        .join("");
    };
    // Short ones are searched in another way.
    const size = random.pick([20, 255, 256, 257, 300, 2_000]);
    const mentions = random.pick([0, 0, 1, 2, 20]);
    const fillers = [
      ...["x", "fnptru", "0246e", random.pick(NEAR_MISSES)],
      random.pick(NEAR_MISSES),
    ];
    const parts: string[] = [];
    let left = size;
    while (left > 0) {
      const part = random.pick(fillers);
      parts.push(part);
      left -= part.length;
    }
    for (let i = 0; i < mentions; i++) {
      parts.splice(random.int(0, parts.length), 0, key());
    }
    const text = parts.join("");
    const bytes = utf8(text);
    const expected = text.match(MENTION)?.length ?? 0;
    assertEquals(countMentions(bytes), expected, text);
    assertEquals(mentionsPointer(bytes), expected > 0, text);
  }));

Deno.test("mentionsPointer: one key is found wherever it is in a large value", () => {
  for (const key of [KEY, "\\u0024fnptr", "$fnpt\\u0072", "$fn\\u0070tr"]) {
    for (let at = 0; at <= 12; at++) {
      for (const rest of [0, 1, 2, 3, 4, 5, 6]) {
        const text = "x".repeat(at + 300) + key + "x".repeat(rest);
        assertEquals(mentionsPointer(utf8(text)), true, text);
        assertEquals(mentionsPointer(utf8(text.slice(0, -1 - rest))), false);
      }
    }
  }
});
