// Times a program of startup/: `startup.ts PROGRAM`.

import type { Sample } from "./measures.ts";

const file = new URL(`startup/${Deno.args[0]}.ts`, import.meta.url);
const program = new Deno.Command(Deno.execPath(), {
  args: ["run", "--quiet", "--allow-all", file.pathname],
  stdout: "null",
  stderr: "inherit",
});
const start = performance.now();
const { success } = await program.output();
const value = performance.now() - start;
if (!success) throw new Error(`The program ${Deno.args[0]} failed`);
console.log(JSON.stringify({ value } satisfies Sample));
