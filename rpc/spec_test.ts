/** Checks the claims of rpc/SPEC.md that a program can check. */
import { assert } from "@std/assert";

const root = new URL("../", import.meta.url);

/** The tests that a text names: `` `file` "name", "name"; `file` "name" ``. */
function* named(text: string): Generator<[file: string, name: string]> {
  for (const [reference] of text.matchAll(/\(`[^)"]*_test\.ts`[^]*?"\)/g)) {
    let file = "";
    for (const [, path, name] of reference.matchAll(/`([^`]+)`|"([^"]+)"/g)) {
      if (path !== undefined) file = path;
      else yield [file, name!.replace(/\s+/g, " ")];
    }
  }
}

Deno.test("rpc/SPEC.md: every test that it names exists", async () => {
  const spec = await Deno.readTextFile(new URL("rpc/SPEC.md", root));
  let count = 0;
  for (const [file, name] of named(spec)) {
    const path = /^(?:codec|mux|rpc|talk|tests)\//.test(file)
      ? file
      : `rpc/${file}`;
    const source = await Deno.readTextFile(new URL(path, root));
    assert(source.includes(name), `there is no "${name}" in ${path}`);
    count++;
  }
  assert(count > 70, `found only ${count}`);
});
