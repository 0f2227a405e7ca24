// Times a program of startup/, or that of qtalk with the package as JSR serves it:
// `startup.ts PROGRAM`.

import type { Sample } from "./measures.ts";
import { type Installed, installFromJsr } from "./startup_from_jsr.ts";

const [name] = Deno.args;
const path = (name: string) =>
  new URL(`startup/${name}.ts`, import.meta.url).pathname;
await using installed: Installed | undefined = name === "qtalk_jsr"
  ? await installFromJsr(path("qtalk"))
  : undefined;
const { file, flags = [], env = {} } = installed ?? { file: path(name!) };
const program = new Deno.Command(Deno.execPath(), {
  args: ["run", "--quiet", "--allow-all", ...flags, file],
  env,
  stdout: "null",
  stderr: "inherit",
});
const start = performance.now();
const { success } = await program.output();
const value = performance.now() - start;
if (!success) throw new Error(`The program ${name} failed`);
console.log(JSON.stringify({ value } satisfies Sample));
