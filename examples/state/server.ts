// State synchronisation, as in the announcement of qtalk: the state is the list
// of those who are here, and everybody is called with it when it changes.
//
//   deno run --allow-net=127.0.0.1 examples/state/server.ts
//
// Prints, and goes on until it is stopped:
//
//   listening on tcp://127.0.0.1:9999
//
// Listens on another address if it is given one.

import { type Caller, handlerFrom, listen, withCall } from "@qtalk/qtalk";

class State {
  #users = new Map<string, Caller>();
  #updates = Promise.resolve();

  /** Adds a name, and who is to be called with the list from now on. */
  Join = withCall((call, name: string) => {
    this.#users.set(name, call.caller);
    return this.#update();
  });

  /** Removes a name. */
  Leave(name: string) {
    this.#users.delete(name);
    return this.#update();
  }

  /** One after the other: the last list that anybody sees is the latest. */
  #update(): Promise<void> {
    return this.#updates = this.#updates.then(() => this.#broadcast());
  }

  async #broadcast(): Promise<void> {
    const names = [...this.#users.keys()];
    let complete = true;
    const calls = [...this.#users].map(async ([name, caller]) => {
      try {
        await caller.call("state", names, { timeout: 5_000 });
      } catch {
        // Who has gone without a word is missed when the others are told.
        if (this.#users.get(name) === caller) this.#users.delete(name);
        complete = false;
      }
    });
    await Promise.all(calls);
    if (!complete) await this.#broadcast();
  }
}

const address = Deno.args[0] ?? "tcp://127.0.0.1:9999";
await using listener = await listen(address, {
  handler: handlerFrom(new State()),
});
console.log(`listening on ${listener.addr}`);
await listener.closed;
