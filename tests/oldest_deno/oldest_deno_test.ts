import { assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** The command that the README gives; the version is named there only. */
const [version, args] = (() => {
  const readme = Deno.readTextFileSync(new URL("README.md", ROOT));
  const match = /^npx (--yes deno@(\S+) run .*smoke\.ts)$/m.exec(readme);
  return [match![2]!, match![1]!.split(" ")];
})();

async function npx(
  args: string[],
): Promise<{ ok: boolean; stdout: string; stderr: string }> {
  try {
    const { success, stdout, stderr } = await new Deno.Command("npx", {
      args,
      cwd: ROOT,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    return {
      ok: success,
      stdout: decoder.decode(stdout),
      stderr: decoder.decode(stderr),
    };
  } catch (error) {
    return { ok: false, stdout: "", stderr: String(error) };
  }
}

// Without Node, or where npm does not answer, there is no older Deno to try.
const available = await npx(["--yes", `deno@${version}`, "--version"]);

Deno.test({
  name: `oldest Deno: the core runs on ${version}, which the README names`,
  // On Windows, which has no Unix sockets, smoke.ts prints one line less.
  ignore: !available.ok || Deno.build.os === "windows",
  fn: async () => {
    const { stdout, stderr } = await npx(args);
    assertEquals(
      stdout,
      `Deno ${version}\nmemory: ok\ntcp: ok\nws: ok\nport: ok\nunix: ok\nstdio: ok\n`,
      stderr,
    );
  },
});
