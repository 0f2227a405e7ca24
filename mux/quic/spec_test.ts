/** Checks the claims of mux/quic/SPEC.md that a program can check. */
import { assert } from "@std/assert";
import {
  CLOSE_CODE,
  FRAMED_PROTOCOL,
  PLAIN_PROTOCOL,
  VIOLATION_CODE,
} from "./protocol.ts";

const root = new URL("../../", import.meta.url);
const spec = await Deno.readTextFile(new URL("mux/quic/SPEC.md", root));

Deno.test("mux/quic/SPEC.md: every test that it names exists", async () => {
  let count = 0;
  for (
    const [reference] of spec.matchAll(/\(`[^)"]*_test\.ts`[^]*?"(?:\)|;)/g)
  ) {
    const [, path] = /`([^`]+)`/.exec(reference)!;
    const source = await Deno.readTextFile(new URL(path!, root));
    for (const [, text] of reference.matchAll(/"([^"]+)"/g)) {
      const name = text!.replace(/\s+/g, " ");
      // The names of violations are made of a list.
      const [, what] =
        /^quicSession\(\): (.*) ends the session, and the peer learns why$/
          .exec(name) ?? [];
      assert(source.includes(what ?? name), `there is no "${name}" in ${path}`);
      count++;
    }
  }
  assert(count > 10, `found only ${count}`);
});

Deno.test("mux/quic/SPEC.md: it has the protocols and the codes", () => {
  for (const text of [FRAMED_PROTOCOL, PLAIN_PROTOCOL]) {
    assert(spec.includes(`\`${text}\``));
  }
  assert(spec.includes(`with code ${CLOSE_CODE}`));
  assert(spec.includes(`code ${VIOLATION_CODE} and the text`));
});
