// That the core needs nothing but Deno: no cache, no registry.

import { assertEquals } from "@std/assert";

/** Nobody listens there. */
const NOWHERE = "http://127.0.0.1:9/";

/** Runs Deno as on a machine that has just got it and the checkout. */
async function deno(...args: string[]): Promise<string> {
  const cache = await Deno.makeTempDir({ prefix: "qtalk_cache_" });
  try {
    const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
      args,
      cwd: new URL("..", import.meta.url),
      env: {
        DENO_DIR: cache,
        JSR_URL: NOWHERE,
        NPM_CONFIG_REGISTRY: NOWHERE,
        NO_COLOR: "1",
      },
    }).output();
    const decoder = new TextDecoder();
    const errors = code === 0 ? "" : decoder.decode(stderr);
    return decoder.decode(stdout) + errors;
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

Deno.test("bare checkout: the demo runs by its task", async () => {
  // What stands under "imports" in deno.json, `deno task` fetches from npm
  // before it runs anything; so what only a subpath needs is under "scopes".
  assertEquals(
    await deno("task", "demo"),
    "HELLO WORLD\nremote: user error [/Error]\n",
  );
});

Deno.test("bare checkout: mod.ts is checked and run", async () => {
  const program = `
    import { memoryPair } from "./mod.ts";
    const [a, b] = memoryPair();
    b.handle("hi", (_call, respond) => respond.return("there"));
    console.log(await a.call("hi"));
    await a.close();
  `;
  assertEquals(await deno("eval", "--check", program), "there\n");
});
