/**
 * What a page needs that only calls a server: `bundle_test.ts` measures it.
 *
 * @module
 */
import { dial } from "@qtalk/qtalk";

const peer = await dial("wss://example.com/");
document.title = String(await peer.call("title"));
for await (const line of await peer.remote<Service>().lines()) {
  document.body.append(line);
}

interface Service {
  lines(): AsyncIterable<string>;
}
