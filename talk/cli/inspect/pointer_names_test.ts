import { assertEquals } from "@std/assert";
import { PointerNames } from "./pointer_names.ts";

Deno.test("PointerNames: an ID says by its eighth character whether it is a stream", () => {
  const cases = [
    ["_aaaaaa0aaaaaaaaaaaa", "ƒ1"],
    // The rest is random.
    ["_vbwvbw0vbwvbwvbwvbw", "ƒ1"],
    ["_000000v000000000000", "stream1"],
    ["_000000b000000000000", "stream1"],
    ["_000000w000000000000", "stream1"],
    // Those of other implementations are functions.
    ["000000vv000000000000", "ƒ1"],
    ["_000000v", "ƒ1"],
  ] as const;
  for (const [id, name] of cases) {
    const names = new PointerNames();
    const pointer = { $fnptr: id };
    names.learn([pointer], { number: 1 } as Parameters<typeof names.learn>[1]);
    assertEquals(names.get(id)?.name, name, id);
  }
});
