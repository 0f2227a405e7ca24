import { assert, assertEquals, assertRejects } from "@std/assert";
import { bundle } from "../support/bundle.ts";
import {
  type Chunks,
  chunksIn,
  gzippedSize,
  loadedByClient,
  loadedWith,
} from "../support/chunks.ts";
import { bundleForBrowsers } from "./site.ts";

const ROOT = new URL("../../", import.meta.url);

/** How far the figures of the README may be off, in kB: bundlers change. */
const TOLERANCE = 2;

/** Bundles a module as sites do: a chunk for each part that is loaded on its own. */
async function chunksOf(path: string): Promise<Chunks> {
  const folder = await Deno.makeTempDir();
  try {
    const flags = ["--platform=browser", "--minify", "--code-splitting"];
    await bundle(...flags, "--outdir", folder, new URL(path, ROOT).pathname);
    return await chunksIn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Compares a size with what the README says, and bounds it. */
async function check(what: string, size: number, said: RegExp, most: number) {
  console.log(`${what}, minified and gzipped: ${size} bytes`);
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const stated = Number(said.exec(readme)?.[1]);
  const kilobytes = Math.round(size / 1_000);
  assert(
    Math.abs(kilobytes - stated) <= TOLERANCE,
    `the README says ${stated} kB of ${what}, it is ${kilobytes}`,
  );
  assert(kilobytes <= most, `${what} has grown to ${kilobytes} kB`);
}

Deno.test("browser: a bundle of the core imports nothing", async () => {
  const code = await bundleForBrowsers(new URL("mod.ts", ROOT).href);
  // A browser refuses a module with one import that it does not know, and
  // bundlers of browsers refuse to make one.
  assertEquals(code.match(/\bimport\b.*["'].*["']/g), null);
});

Deno.test("browser: the core has the size that the README says, at its start and in all", async () => {
  const chunks = await chunksOf("mod.ts");
  const start = await gzippedSize(loadedWith(["mod.js"], chunks), chunks);
  await check("the core", start, /starts with\s+(\d+) kB/, 61);
  const path = new URL("mod.ts", ROOT).href;
  const file = await bundleForBrowsers(path, "--minify");
  const all = await gzippedSize(["all"], new Map([["all", file]]));
  await check("all in one file", all, /(\d+) kB\s+in\s+one\s+file/, 140);
});

/** What a page loads that dials `ws:`: the chunks with it, and all there are. */
async function clientChunks(): Promise<{ loaded: string[]; chunks: Chunks }> {
  const chunks = await chunksOf("tests/browser/ws_client.ts");
  return { loaded: loadedByClient(chunks), chunks };
}

Deno.test("browser: a page that dials ws: and calls loads what the README says", async () => {
  const { loaded, chunks } = await clientChunks();
  const size = await gzippedSize(loaded, chunks);
  await check("a client for ws:", size, /`wss:`\s+loads\s+(\d+) kB/, 56);
});

Deno.test("browser: a page that dials ws: loads nothing that answers, listens, forwards, reconnects or has sockets", async () => {
  const { loaded, chunks } = await clientChunks();
  const codeOf = (names: Iterable<string>) =>
    [...names].map((name) => chunks.get(name)).join("");
  const code = codeOf(loaded);
  const all = codeOf(chunks.keys());
  for (
    const word of [
      "sec-websocket-accept",
      "Deno.listen(",
      "node:tls",
      "sessionIdleTimeout",
      "Cannot forward call",
      "calls are running",
      "expected an array of arguments",
      "the peer closed the session",
    ]
  ) {
    assert(all.includes(word), `there is no ${word}`);
    assert(!code.includes(word), `a client has ${word}`);
  }
  // Of handlerFrom() and dialCommand(), which no part of the program uses.
  for (const word of ["createSecureContext", "node:child_process"]) {
    assert(!all.includes(word), `the bundle has ${word}`);
  }
});

/**
 * Writes the chunks that the core starts with, and no other, and imports it.
 *
 * @param more the names of chunks that are there as well. Default: none
 */
async function withoutParts(
  use: (core: typeof import("../../mod.ts")) => Promise<void>,
  more?: RegExp,
): Promise<void> {
  const chunks = await chunksOf("mod.ts");
  const folder = await Deno.makeTempDir();
  const others = [...chunks.keys()].filter((name) => more?.test(name));
  try {
    for (const name of loadedWith(["mod.js", ...others], chunks)) {
      await Deno.writeTextFile(`${folder}/${name}`, chunks.get(name)!);
    }
    await use(await import(`file://${folder}/mod.js`));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("browser: where no more parts can be loaded, errors have a code and say so", () =>
  withoutParts(async (core) => {
    const { dial, listen, memoryTransports, MuxError, qmux, TalkError } = core;
    const address = "tcp://127.0.0.1:1";
    for (
      const attempt of [
        () => dial(address),
        () => dial([address, address]),
        () => dial(address, { reconnect: {} }),
        () => dial(address, { resume: {} }),
        () => listen(address),
      ]
    ) {
      const error = await assertRejects(attempt, TalkError);
      const verb = error.code === "listen-failed" ? "listen" : "dial";
      assertEquals(error.code, `${verb}-failed`);
      const reason = `Cannot ${verb}: a part of this package cannot be loaded`;
      assert(error.message.startsWith(reason), error.message);
      // The network, or the site, may be back at the next attempt.
      assertEquals(error.permanent, false);
    }
    // The error of a peer that speaks something else lacks its description only.
    const [left, right] = memoryTransports();
    const session = qmux(left);
    const writing = right.write(new TextEncoder().encode("SSH-2.0-Go\r\n"));
    const error = await assertRejects(() => session.closed, MuxError);
    assertEquals(error.code, "protocol-error");
    await Promise.allSettled([writing, right.close(), session.close()]);
  }));

Deno.test("browser: where no more parts can be loaded, the runtime pipes a channel into another", () =>
  withoutParts(async ({ memoryTransports, qmux }) => {
    const [near, far] = memoryTransports();
    const server = qmux(far);
    const piped = Promise.withResolvers<void>();
    server.accept(({ readable, writable }) => {
      readable.pipeTo(writable).then(piped.resolve, piped.reject);
    });
    const client = qmux(near);
    const { readable, writable } = await client.open();
    const writer = writable.getWriter();
    const sent = writer.write(new TextEncoder().encode("echo"));
    await Promise.all([sent, writer.close(), piped.promise]);
    assertEquals(await new Response(readable).text(), "echo");
    await Promise.all([client.close(), server.close()]);
  }));

Deno.test("browser: where the parts of a scheme cannot be loaded, errors have a code, say so and are not permanent", () =>
  withoutParts(async ({ dial, listen, TalkError }) => {
    for (
      const [attempt, code] of [
        [() => dial("ws://127.0.0.1:1"), "dial-failed"],
        [() => listen("ws://127.0.0.1:0"), "listen-failed"],
        [() => listen("wt://127.0.0.1:0"), "listen-failed"],
      ] as const
    ) {
      const error = await assertRejects<InstanceType<typeof TalkError>>(
        attempt,
        TalkError,
        "a part of this package cannot be loaded",
      );
      assertEquals([error.code, error.permanent], [code, false]);
    }
  }, /^scheme-/));
