// The example of presence, whose clients are killed.

import { dial } from "@qtalk/qtalk";
import { assertEquals } from "@std/assert";
import { within } from "../support/within.ts";

const FOLDER = new URL("../../examples/state/", import.meta.url);

/** Starts a script of the example. */
function start(script: string, ...args: string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-net=127.0.0.1",
      new URL(script, FOLDER).href,
      ...args,
    ],
    stdout: "piped",
  }).spawn();
  const texts = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  return {
    child,
    /** Waits until the script has printed `text`. */
    async prints(text: string): Promise<string> {
      for (let all = "";;) {
        const { value, done } = await within(texts.read(), text);
        if (done) throw new Error(`${script} ended after "${all}"`);
        all += value;
        if (all.includes(text) && all.endsWith("\n")) return all;
      }
    },
    async [Symbol.asyncDispose]() {
      await texts.cancel();
      try {
        child.kill("SIGKILL");
      } catch {
        // It has been killed already.
      }
      await child.status;
    },
  };
}

Deno.test("presence: a client that is killed is removed, although nothing else happens", async () => {
  await using server = start("server.ts", "tcp://127.0.0.1:0");
  const address = (await server.prints("listening on")).trim().split(" ")
    .pop()!;
  const lists: string[][] = [];
  let changed = Promise.withResolvers<void>();
  await using watching = await dial(address);
  watching.handle("state", async (call) => {
    lists.push(await call.receive() as string[]);
    changed.resolve();
  });
  async function nextList(): Promise<string[]> {
    while (lists.length === 0) {
      await within(changed.promise, "a list");
      changed = Promise.withResolvers();
    }
    return lists.shift()!;
  }
  await watching.call("Join", ["Ann"]);
  assertEquals(await nextList(), ["Ann"]);
  for (const name of ["Bob", "Cid"]) {
    await using client = start("client.ts", address, name);
    assertEquals(await nextList(), ["Ann", name]);
    client.child.kill("SIGKILL");
    assertEquals(await nextList(), ["Ann"]);
  }
});
