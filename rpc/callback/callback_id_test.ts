import { assertEquals } from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { newId, newPrefix, RandomDigits } from "./pointers.ts";
import { IdFinder } from "./received_pointers.ts";

const digits = new RandomDigits();

function find(prefix: string, pieces: Iterable<Uint8Array>): string[] {
  const found: string[] = [];
  const finder = new IdFinder(prefix, (id) => found.push(id));
  for (const piece of pieces) finder.add(piece);
  return found;
}

Deno.test("IdFinder: it finds IDs however their bytes are cut", async () => {
  await forSeeds(200, (random) => {
    const prefix = newPrefix();
    const kinds = ["function", "values", "bytes", "whole"] as const;
    const ids = Array.from(
      { length: random.int(0, 5) },
      () => newId(prefix, random.pick(kinds), digits),
    );
    const text = ids.map((id) => "x".repeat(random.int(0, 30)) + id).join("") +
      "y".repeat(random.int(0, 30));
    const bytes = new TextEncoder().encode(text);
    assertEquals(find(prefix, random.split(bytes, random.int(1, 60))), ids);
  });
});

Deno.test("IdFinder: what only begins like an ID is none", () => {
  const prefix = newPrefix();
  const other = newId(newPrefix(), "function", digits);
  const text =
    `${prefix} ${prefix}00000 ${prefix}z000000000000 ${prefix}${prefix} ` +
    `${other} ${prefix}`;
  assertEquals(find(prefix, [new TextEncoder().encode(text)]), []);
});

Deno.test("IdFinder: bytes that are no text do not hide an ID", () => {
  const prefix = newPrefix();
  const id = newId(prefix, "function", digits);
  const noise = Uint8Array.from({ length: 256 }, (_, i) => i);
  const pieces = [noise, new TextEncoder().encode(id), noise];
  assertEquals(find(prefix, pieces), [id]);
});

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
