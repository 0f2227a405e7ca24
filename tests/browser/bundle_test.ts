import { assert, assertEquals } from "@std/assert";
import { bundleForBrowsers } from "./site.ts";

const ROOT = new URL("../../", import.meta.url);

async function gzipped(text: string): Promise<number> {
  const stream = new Blob([text]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  return (await new Response(stream).bytes()).length;
}

Deno.test("browser: a bundle of the core imports nothing", async () => {
  const code = await bundleForBrowsers(new URL("mod.ts", ROOT).href);
  // A browser refuses a module with one import that it does not know, and
  // bundlers of browsers refuse to make one.
  assertEquals(code.match(/\bimport\b.*["'].*["']/g), null);
});

Deno.test("browser: the bundled core has the size that the README says", async () => {
  const path = new URL("mod.ts", ROOT).href;
  const size = await gzipped(await bundleForBrowsers(path, "--minify"));
  const kilobytes = Math.round(size / 1_000);
  console.log(`the core, minified and gzipped: ${size} bytes`);
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const said = Number(/(\d+) kB minified and\s+gzipped/.exec(readme)?.[1]);
  // Versions of the bundler differ a little, and so does each change.
  assert(
    Math.abs(kilobytes - said) <= 2,
    `the README says ${said} kB, it is ${kilobytes}`,
  );
});
