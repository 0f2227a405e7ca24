// State synchronisation as the reference's announcement tells it: its client, in
// Go, joined to the server of examples/state.

import { dial } from "@qtalk/qtalk";
import { assertEquals } from "@std/assert";
import { within } from "../support/within.ts";
import { startServer } from "./processes.ts";
import { buildReference } from "./reference.ts";

const directory = Deno.makeTempDirSync({ prefix: "qtalk_interop_" });
addEventListener("unload", () => {
  Deno.removeSync(directory, { recursive: true });
});
const { binary, missing } = await buildReference(directory);

/** Who has joined, and sees every list that the server calls it with. */
interface Member extends AsyncDisposable {
  /** The next list. */
  list(): Promise<unknown>;
  /** Leaves; resolves when the server has told the others. */
  leave(): Promise<void>;
}

interface GoMember extends Member {
  /** Goes without a word. */
  vanish(): Promise<void>;
}

async function joinFromDeno(address: string, name: string): Promise<Member> {
  const lists = new TransformStream<unknown, unknown>();
  const [writer, reader] = [
    lists.writable.getWriter(),
    lists.readable.getReader(),
  ];
  const peer = await dial(`tcp://${address}`);
  peer.handle("state", async (call) => {
    void writer.write(await call.receive());
  });
  await peer.call("Join", [name]);
  return {
    list: async () => (await within(reader.read(), `a list for ${name}`)).value,
    leave: async () => void await peer.call("Leave", [name]),
    [Symbol.asyncDispose]: () => peer.close(),
  };
}

function joinFromGo(address: string, name: string): GoMember {
  const child = new Deno.Command(binary!, {
    args: ["state-client", "tcp", address, name],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const texts = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  async function line(): Promise<string> {
    while (!text.includes("\n")) {
      const { done, value } = await texts.read();
      if (done) throw new Error(`${name} ended after "${text}"`);
      text += value;
    }
    const [first, ...rest] = text.split("\n");
    text = rest.join("\n");
    return first!;
  }
  let ending: Promise<void> | undefined;
  function end(how: () => Promise<void> | void): Promise<void> {
    return ending ??= (async () => {
      await how();
      await child.status;
      await texts.cancel();
      // After a signal, it has not been closed yet.
      await child.stdin.close().catch(() => {});
    })();
  }
  return {
    list: async () => JSON.parse(await within(line(), `a list for ${name}`)),
    async leave() {
      await end(() => child.stdin.close());
      assertEquals((await child.status).code, 0, `how ${name} ended`);
    },
    vanish: () => end(() => child.kill("SIGKILL")),
    async [Symbol.asyncDispose]() {
      await this.vanish();
    },
  };
}

/** Starts the server of the example. */
async function serveState() {
  const script = new URL("../../examples/state/server.ts", import.meta.url);
  const command = ["run", "--allow-net=127.0.0.1", script.pathname];
  const server = await startServer(
    () => [Deno.execPath(), ...command, "tcp://127.0.0.1:0"],
    "tcp",
  );
  // It says "listening on" and the address.
  return { ...server, address: server.address.replace("on tcp://", "") };
}

Deno.test({
  name: "interop: the announcement's client in Go sees who joins and leaves",
  ignore: missing !== undefined,
  async fn() {
    await using server = await serveState();
    await using gopher = joinFromGo(server.address, "Gopher");
    assertEquals(await gopher.list(), ["Gopher"]);

    await using ann = await joinFromDeno(server.address, "Ann");
    assertEquals(await gopher.list(), ["Gopher", "Ann"]);
    assertEquals(await ann.list(), ["Gopher", "Ann"]);

    await ann.leave();
    assertEquals(await gopher.list(), ["Gopher"]);
    await gopher.leave();
  },
});

Deno.test({
  name:
    "interop: the announcement's client in Go leaves, and the others see it",
  ignore: missing !== undefined,
  async fn() {
    await using server = await serveState();
    await using ann = await joinFromDeno(server.address, "Ann");
    assertEquals(await ann.list(), ["Ann"]);
    await using gopher = joinFromGo(server.address, "Gopher");
    assertEquals(await ann.list(), ["Ann", "Gopher"]);
    assertEquals(await gopher.list(), ["Ann", "Gopher"]);

    await gopher.leave();
    assertEquals(await ann.list(), ["Ann"]);
  },
});

Deno.test({
  name:
    "interop: the announcement's client in Go is killed, and the others see it",
  ignore: missing !== undefined,
  async fn() {
    await using server = await serveState();
    await using ann = await joinFromDeno(server.address, "Ann");
    assertEquals(await ann.list(), ["Ann"]);
    await using gopher = joinFromGo(server.address, "Gopher");
    assertEquals(await ann.list(), ["Ann", "Gopher"]);
    assertEquals(await gopher.list(), ["Ann", "Gopher"]);
    await using bob = await joinFromDeno(server.address, "Bob");
    assertEquals(await ann.list(), ["Ann", "Gopher", "Bob"]);
    assertEquals(await bob.list(), ["Ann", "Gopher", "Bob"]);

    await gopher.vanish();
    assertEquals(await ann.list(), ["Ann", "Bob"]);
    assertEquals(await bob.list(), ["Ann", "Bob"]);
    await bob.leave();
    assertEquals(await ann.list(), ["Ann"]);
  },
});
