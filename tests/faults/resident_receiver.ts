/**
 * A process of its own that takes channels and reads none: what the test of its
 * resident size runs. Says its address, then its size for each line that it is
 * sent.
 *
 * @module
 */
import { type Channel, listenSession } from "@qtalk/qtalk";

const kept: Channel[] = [];
await using listener = await listenSession("tcp://127.0.0.1:0");
void (async () => {
  for await (const session of listener) {
    session.accept((channel) => kept.push(channel));
  }
})();
console.log(listener.addr);
for await (const _ of Deno.stdin.readable) {
  console.log(JSON.stringify({
    channels: kept.length,
    resident: Deno.memoryUsage().rss,
  }));
}
