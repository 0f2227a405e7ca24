// State synchronisation, as in the announcement of qtalk: the state is the list
// of users, and the server calls all of them with the new list when it changes.
//
//   deno run --allow-net=127.0.0.1 examples/state/server.ts
//
// Prints, and runs until it is stopped:
//
//   listening on tcp://127.0.0.1:9999
//
// Takes another address to listen on as its argument.

import { type Caller, handlerFrom, listen, withCall } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

class State {
  #users = new Map<string, Caller>();
  #updates = Promise.resolve();

  /** Adds a user, whose peer is called with every new list from now on. */
  Join = withCall(({ caller, peer }, name: string) => {
    this.#users.set(name, caller);
    // A client that is killed has no time to leave.
    const gone = () => this.#remove(name, caller);
    peer.closed.then(gone, gone);
    return this.#update();
  });

  /** Removes a user. */
  Leave(name: string) {
    this.#users.delete(name);
    return this.#update();
  }

  /** Removes a user whose client has gone, but not one who has joined again. */
  async #remove(name: string, caller: Caller) {
    if (this.#users.get(name) === caller) await this.Leave(name);
  }

  /** Sends one list after another, so that the last one is the latest. */
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
        // It has left or joined again, and another list is on its way.
        if (this.#users.get(name) !== caller) return;
        // The client hangs: the others get a list without that name.
        this.#users.delete(name);
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
closeOnSignals(listener);
console.log(`listening on ${listener.addr}`);
await listener.closed;
