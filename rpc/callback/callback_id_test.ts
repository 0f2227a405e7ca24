import { assertEquals } from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { IdFinder, newId, newPrefix } from "./callback_id.ts";

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
      () => newId(prefix, random.pick(kinds), random.int(0, 2 ** 35 - 1)),
    );
    const text = ids.map((id) => "x".repeat(random.int(0, 30)) + id).join("") +
      "y".repeat(random.int(0, 30));
    const bytes = new TextEncoder().encode(text);
    assertEquals(find(prefix, random.split(bytes, random.int(1, 60))), ids);
  });
});

Deno.test("IdFinder: what only begins like an ID is none", () => {
  const prefix = newPrefix();
  const other = newId(newPrefix(), "function", 1);
  const text =
    `${prefix} ${prefix}00000 ${prefix}z0000000 ${prefix}${prefix} ` +
    `${other} ${prefix}`;
  assertEquals(find(prefix, [new TextEncoder().encode(text)]), []);
});

Deno.test("IdFinder: bytes that are no text do not hide an ID", () => {
  const prefix = newPrefix();
  const id = newId(prefix, "function", 7);
  const noise = Uint8Array.from({ length: 256 }, (_, i) => i);
  const pieces = [noise, new TextEncoder().encode(id), noise];
  assertEquals(find(prefix, pieces), [id]);
});
