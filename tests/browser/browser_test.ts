// The core in a page, driven in headless Chromium against a Deno server. The
// cases are in page.ts; the server calls the page to run them.

import { listen, MuxError, type Peer } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { interopService } from "../interop/service.ts";
import { loopbackCertificate } from "../support/quic.ts";
import { within } from "../support/within.ts";
import { Chromium, findChromium, type Tab } from "./chromium.ts";
import { bundleScripts, type Scripts, Site, siteService } from "./site.ts";

const programs = findChromium();
const missing = "missing" in programs ? programs.missing : undefined;
if (missing !== undefined) {
  const text = `browser: the tests in Chromium are skipped: ${missing}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

// One browser serves all tests, each of which has a server and a tab.
let scripts: Scripts;
let chromium: Chromium | undefined;
Deno.test.beforeAll(async () => {
  if ("missing" in programs) return;
  scripts = await bundleScripts();
  chromium = await Chromium.start(programs);
});
Deno.test.afterAll(async () => {
  await chromium?.[Symbol.asyncDispose]();
});

function testPage(
  name: string,
  run: (page: Peer, tab: Tab, site: Site) => Promise<void>,
  handler = siteService(() => {}),
): void {
  Deno.test({
    name: `browser: ${name}`,
    ignore: missing !== undefined,
    async fn() {
      await using site = new Site(scripts, handler);
      const tab = await chromium!.open(site.url);
      await run(await site.page(), tab, site);
    },
  });
}

/** A test that is a case of the page. */
function testCase(name: string, selector: string): void {
  testPage(name, async (page, tab, site) => {
    await within(page.call(selector), name, 30_000);
    await tab.close();
    assertEquals(site.errors, []);
  });
}

testCase("a page calls, fails, and calls a thousand times at once", "calls");
testCase("metadata, deadlines and errors are those of any peer", "extended");
testCase("values stream to the page and from it", "streams");
testCase("the server calls the page back", "callback");
testCase("the page gives a call up, and the server hears of it", "cancel");
testCase("64 MiB of bytes go each way at once", "bytes");
testCase("a worker answers the page, and takes and gives bytes", "worker");
testCase("a worker answers on a port that was sent to it", "port");
testCase("an iframe of another origin answers the page", "frame");
testCase(
  "an iframe of another origin than was named hears nothing",
  "frameOfOtherOrigin",
);
testCase(
  "an iframe that loads another document is a lost connection",
  "frameThatGoes",
);

const ending = Promise.withResolvers<unknown>();
const streaming = Promise.withResolvers<void>();
testPage(
  "a page closed in mid-stream is a lost connection, and nothing is left",
  async (page, tab) => {
    await within(page.call("drink"), "the page to read");
    await within(streaming.promise, "the stream to begin");
    const waiting = assertRejects(() => page.call("never"), MuxError);
    waiting.catch(() => {}); // It is awaited later.
    await tab.close();
    const error = await within(ending.promise, "the stream to end");
    assert(error instanceof MuxError, `${error}`);
    assertEquals(error.code, "connection-lost");
    await waiting;
    // A browser says goodbye for its pages: the session may end cleanly.
    await within(page.closed.catch(() => {}), "the session to end");
    await assertRejects(() => page.call("calls"), MuxError);
  },
  siteService((begun, end) => {
    begun.then(streaming.resolve);
    end.then(ending.resolve);
  }),
);

const left = Promise.withResolvers<unknown>();
testPage(
  "a page calls and moves bytes over WebTransport",
  async (page, tab) => {
    const { cert, key, fingerprint } = await loopbackCertificate();
    await using listener = await listen("wt://127.0.0.1:0/rpc", {
      tls: { cert, key },
      handler: interopService(),
    });
    const test = page.call("webTransport", [listener.addr, fingerprint]);
    await within(test, "the page's calls", 30_000);
    await tab.close();
  },
);

testPage(
  "a page that is closed ends its session over WebTransport",
  async (page, tab) => {
    const { cert, key, fingerprint } = await loopbackCertificate();
    const keepAlive = { interval: 500, timeout: 500 };
    await using listener = await listen("wt://127.0.0.1:0/rpc", {
      tls: { cert, key },
      session: { keepAlive },
      onPeer: (peer) => void peer.closed.then(left.resolve, left.resolve),
    });
    await page.call("openWebTransport", [listener.addr, fingerprint]);
    await tab.close();
    await within(left.promise, "the session to end");
  },
);
