/**
 * What a page needs that only calls a server: `bundle_test.ts` measures it.
 *
 * @module
 */
import { dial } from "@qtalk/qtalk";

/** What is used of the page: Deno's types know no windows. */
const { document } = globalThis as unknown as {
  document: { title: string; body: { append(text: string): void } };
};

const peer = await dial("wss://example.com/");
document.title = String(await peer.call("title"));
for await (const line of await peer.remote<Service>().lines()) {
  document.body.append(line);
}

interface Service {
  lines(): AsyncIterable<string>;
}
