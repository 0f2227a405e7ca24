// Functions as arguments of a call. The other end can call them over the same
// connection until the call is answered, or for as long as it retains them.
//
//   deno run --allow-net=127.0.0.1 examples/callbacks.ts
//
// Prints:
//
//   copied a
//   copied b
//   2 files
//   news: one
//   news: two
//   a subscriber has gone

import { callback, dial, handlerFrom, listen } from "@qtalk/qtalk";
import type { Callback } from "@qtalk/qtalk";

type Subscriber = (text: string) => void;
const subscribers = new Set<Callback<Subscriber>>();

const service = {
  async copy(files: string[], progress: Callback<(file: string) => void>) {
    for (const file of files) await progress(file);
    return files.length;
  },
  subscribe(subscriber: Callback<Subscriber>) {
    // A callback that is not retained ends with the call.
    subscribers.add(subscriber.retain());
  },
  async publish(text: string) {
    for (const subscriber of subscribers) {
      await subscriber(text).catch(() => {
        subscribers.delete(subscriber);
        console.log("a subscriber has gone");
      });
    }
  },
};

await using listener = await listen("tcp://127.0.0.1:0", {
  handler: handlerFrom(service),
});
await using peer = await dial(listener.addr);
const api = peer.remote<typeof service>();

const count = await api.copy(["a", "b"], (file) => {
  console.log(`copied ${file}`);
});
console.log(`${count} files`);

{
  // At the end of this block, the callback is released.
  using subscriber = callback((text: string) => console.log(`news: ${text}`));
  await api.subscribe(subscriber);
  await api.publish("one");
  await api.publish("two");
}
await api.publish("three");
