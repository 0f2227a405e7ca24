// What the tasks of deno.json say of themselves.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

const { tasks } = JSON.parse(
  Deno.readTextFileSync(new URL("deno.json", ROOT)),
) as { tasks: Record<string, { command: string }> };

/** The programs of tests/ that a task runs, by the name of the task. */
const PROGRAMS = Object.entries(tasks).flatMap(([name, { command }]) => {
  const [program] = /\btests\/\S+\.ts$/.exec(command) ?? [];
  return program === undefined ? [] : [{ name, program }];
});

Deno.test("tasks: those whose program is one of tests/ are found", () => {
  const names = PROGRAMS.map(({ name }) => name);
  for (const name of ["ok", "resume", "suites"]) assert(names.includes(name));
});

for (const { name, program } of PROGRAMS) {
  Deno.test(`tasks: deno task ${name} --help says how it is used, and does nothing else`, async () => {
    const decoder = new TextDecoder();
    for (const args of [["--help"], ["--", "--help"]]) {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", program, ...args],
        cwd: ROOT,
      }).output();
      assertEquals(code, 0, decoder.decode(stderr));
      const text = decoder.decode(stdout);
      assertStringIncludes(text, `\n\nUsage: deno task ${name}`);
      // Nothing is said before it, or after it.
      assertEquals(text.split("Usage:").length, 2);
    }
  });
}
