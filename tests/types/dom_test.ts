// The sources are checked with the program that imports them if they are linked or
// vendored, so they have to compile with the types of the DOM, too.

import { assert } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

Deno.test("types: the sources compile with the types of the DOM beside Deno's", async () => {
  const { exports, imports, scopes } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  const config = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(
      config,
      JSON.stringify({
        imports: { ...imports, ...scopes["./"] },
        compilerOptions: { lib: ["dom", "esnext", "deno.ns", "deno.unstable"] },
      }),
    );
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", "--no-lock", "--config", config].concat(
        Object.values<string>(exports).map((path) => new URL(path, ROOT).href),
      ),
      env: { NO_COLOR: "1" },
    }).output();
    assert(success, new TextDecoder().decode(stderr));
  } finally {
    await Deno.remove(config);
  }
});
