import { assertEquals } from "@std/assert";
import { newId, newPrefix, RandomDigits } from "./pointers.ts";

const digits = new RandomDigits();

Deno.test("newId: no ID says what another one is", () => {
  const prefix = newPrefix();
  const ids = Array.from(
    { length: 1_000 },
    () => newId(prefix, "function", digits),
  );
  const secrets = ids.map((id) => id.slice(prefix.length + 1));
  assertEquals(new Set(secrets).size, ids.length);
  for (let at = 0; at < secrets[0]!.length; at++) {
    // Each of 64 digits has its share of 1,000: 15.6 on average.
    const seen = new Set(secrets.map((secret) => secret[at]));
    assertEquals(seen.size > 55, true, `digit ${at} takes ${seen.size} values`);
  }
});
