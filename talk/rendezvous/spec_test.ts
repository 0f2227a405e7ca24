/** Checks the claims of talk/rendezvous/SPEC.md that a program can check. */
import { assert, assertEquals } from "@std/assert";
import {
  MOVE_PROTOCOL,
  PEER_PROTOCOL,
  PUNCH_PROTOCOL,
  SELECTORS,
} from "./wire.ts";

const ROOT = new URL("../../", import.meta.url);
const SPEC = await Deno.readTextFile(
  new URL("talk/rendezvous/SPEC.md", ROOT),
);

Deno.test("talk/rendezvous/SPEC.md: every test that it names exists", async () => {
  let count = 0;
  for (const [reference] of SPEC.matchAll(/\(`[^)"]*_test\.ts`[^]*?"\)/g)) {
    const [, path] = /`([^`]+)`/.exec(reference)!;
    const source = await Deno.readTextFile(new URL(path!, ROOT));
    for (const [, text] of reference.matchAll(/"([^"]+)"/g)) {
      const name = text!.replace(/\s+/g, " ");
      assert(source.includes(name), `there is no "${name}" in ${path}`);
      count++;
    }
  }
  assert(count > 10, `found only ${count}`);
});

Deno.test("talk/rendezvous/SPEC.md: it lists the selectors and the protocols", () => {
  const listed = [...SPEC.matchAll(/^\| `(rendezvous\/\w+)`/gm)].map((
    [, name],
  ) => name!);
  assertEquals(listed.sort(), Object.values(SELECTORS).sort());
  for (const protocol of [PEER_PROTOCOL, MOVE_PROTOCOL, PUNCH_PROTOCOL]) {
    assert(SPEC.includes(`\`${protocol}\``), protocol);
  }
});
