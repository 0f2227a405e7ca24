// State synchronisation, as in the announcement of qtalk: the state is the list of
// users, and the server calls all of them with the new list when it changes. A slow
// user does not delay the others.
//
//   deno run --allow-net=127.0.0.1 examples/state/server.ts
//
// Prints, and runs until it is stopped:
//
//   listening on tcp://127.0.0.1:9999
//
// Takes another address to listen on as its argument.

import { fanOut } from "@qtalk/qtalk/fan-out";
import { type Caller, handlerFrom, listen, withCall } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

class State {
  /** What ends the subscription of each user. */
  #users = new Map<string, AbortController>();
  /** A user who is slow misses lists, but gets the latest one. */
  #lists = fanOut<string[]>(undefined, {
    buffer: 1,
    whenFull: "keep-latest",
    replay: 1,
  });

  /** Adds a user, whose peer is called with every new list from now on. */
  Join = withCall(async ({ caller, peer }, name: string) => {
    const user = new AbortController();
    this.#users.get(name)?.abort();
    this.#users.set(name, user);
    this.#publish();
    // A client that is killed has no time to leave.
    const signal = AbortSignal.any([user.signal, peer.signal]);
    const lists = this.#lists.subscribe({ signal });
    const joined = Promise.withResolvers<void>();
    this.#inform(caller, lists, joined.resolve)
      .catch(() => {
        // It has gone, or it hangs: the others get a list without that name.
        if (this.#users.get(name) === user) this.Leave(name);
      })
      .finally(joined.resolve);
    await joined.promise;
  });

  /** Removes a user. */
  Leave(name: string) {
    this.#users.get(name)?.abort();
    this.#users.delete(name);
    this.#publish();
  }

  #publish() {
    this.#lists.publish([...this.#users.keys()]);
  }

  /** Calls a user with one list after another. */
  async #inform(
    caller: Caller,
    lists: ReadableStream<string[]>,
    onList: () => void,
  ) {
    for await (const names of lists) {
      await caller.call("state", names, { timeout: 5_000 });
      onList();
    }
  }
}

const address = Deno.args[0] ?? "tcp://127.0.0.1:9999";
await using listener = await listen(address, {
  handler: handlerFrom(new State()),
});
closeOnSignals(listener);
console.log(`listening on ${listener.addr}`);
await listener.closed;
