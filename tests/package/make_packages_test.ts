import { assertEquals, assertRejects } from "@std/assert";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { makeJsrPackage } from "./make_jsr_package.ts";
import { makeNpmPackage } from "./make_npm_package.ts";
import { checkEmpty } from "./sources.ts";

Deno.test("packages: a folder that is not empty is refused, and left as it is", async () => {
  await using folder = await temporaryFolder();
  await checkEmpty(folder.path);
  await checkEmpty(`${folder.path}/none`);
  await Deno.writeTextFile(`${folder.path}/notes.txt`, "mine");
  for (const make of [makeJsrPackage, makeNpmPackage]) {
    await assertRejects(
      () => make(folder.path),
      Error,
      'it is not empty, but has "notes.txt"',
    );
  }
  const names = await Array.fromAsync(
    Deno.readDir(folder.path),
    ({ name }) => name,
  );
  assertEquals(names, ["notes.txt"]);
});
