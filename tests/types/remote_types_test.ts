import { assert, assertEquals } from "@std/assert";

const SOURCE = new URL("./remote_types.ts", import.meta.url);
const ROOT = new URL("../../", import.meta.url);
const DIRECTIVE = /^ *\/\/ @ts-expect-error (.*)$/;

/** What the compiler has to say about a file. */
async function check(path: string): Promise<{ ok: boolean; text: string }> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--config", "deno.json", path],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  return { ok: success, text: new TextDecoder().decode(stderr) };
}

Deno.test("Remote: services are typed as declared, and mistakes are refused", async () => {
  const { ok, text } = await check(SOURCE.href);
  assert(ok, text);
});

Deno.test("Remote: each mistake is refused by itself, and nothing else is", async () => {
  const lines = (await Deno.readTextFile(SOURCE)).split("\n");
  const expected = lines.flatMap((line, i) => DIRECTIVE.test(line) ? [i] : []);
  assert(expected.length > 20, "there are mistakes");
  // Line numbers stay: a comment of another kind takes the directive's place.
  const bare = lines.join("\n")
    .replaceAll("@ts-expect-error", "was")
    .replace('"@qtalk/qtalk"', `"${new URL("mod.ts", ROOT)}"`);
  const copy = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(copy, bare);
    const { ok, text } = await check(copy);
    assertEquals(ok, false);
    const places = [...text.matchAll(/^ {4}at .*:(\d+):\d+$/gm)];
    const found = new Set(places.map(([, line]) => Number(line)));
    // Behind directive i, counted from 0, stands line i + 2, counted from 1.
    assertEquals([...found].sort((a, b) => a - b), expected.map((i) => i + 2));
  } finally {
    await Deno.remove(copy);
  }
});
