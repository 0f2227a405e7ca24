import { dial, dialCommand, handlerFrom, listen } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { cli, cliCommand, startCli } from "../../../tests/support/cli.ts";
import { within } from "../../../tests/support/within.ts";

const LISTENING = /^listening on (\S+)$/;

/** The server that the proxy connects to. */
function server() {
  return listen("tcp://127.0.0.1:0", {
    handler: handlerFrom({
      Upper: (s: string) => s.toUpperCase(),
      bytes: (n: number) => new Uint8Array(n),
    }),
  });
}

Deno.test("qtalk proxy: each connection is proxied in both directions", async () => {
  await using target = await server();
  const peers = target[Symbol.asyncIterator]();
  await using proxy = startCli(["proxy", "tcp://127.0.0.1:0", target.addr]);
  const address = LISTENING.exec(await proxy.line(LISTENING))![1]!;
  for (const name of ["Ann", "Bob"]) {
    await using peer = await dial(address, {
      handler: handlerFrom(() => name),
    });
    assertEquals(await peer.call("Upper", [name]), name.toUpperCase());
    const { value: far } = await within(peers.next(), "a peer");
    assertEquals(await far!.call("who"), name);
    await peer.close();
    await within(far!.closed, "the far end to be closed");
  }
});

Deno.test("qtalk proxy: the two addresses may have different schemes", async () => {
  const folder = await Deno.makeTempDir();
  await using target = await server();
  const path = `unix:${folder}/socket`;
  await using proxy = startCli(["proxy", path, target.addr]);
  await proxy.line(LISTENING);
  const [program, ...args] = cliCommand(["proxy", "stdio:", path]);
  const command = { args, stdin: "piped", stdout: "piped" } as const;
  const peer = dialCommand(new Deno.Command(program, command));
  const answer = within(peer.call("Upper", ["hello"]), "an answer");
  assertEquals(await answer, "HELLO");
  await peer.close();
  await proxy.end("SIGTERM");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("qtalk proxy: it reports a session that it cannot proxy and goes on", async () => {
  await using proxy = startCli([
    "proxy",
    "tcp://127.0.0.1:0",
    "tcp://127.0.0.1:1",
  ]);
  const listening = LISTENING.exec(await proxy.line(LISTENING))![1]!;
  const peer = await dial(listening);
  await assertRejects(() => within(peer.call("Upper", ["x"]), "the call"));
  await proxy.errorLine(/^error: Cannot dial "tcp:/);
  await peer.close();
  const { code } = await proxy.end("SIGINT");
  assertEquals(code, 0);
});

Deno.test("qtalk proxy: it exits with 3 if it cannot proxy its only session", async () => {
  const args = ["proxy", "stdio:", "tcp://127.0.0.1:1"];
  await using proxy = startCli(args, { stdin: "" });
  const { code, stdout, stderr } = await proxy.end();
  assertEquals([code, stdout], [3, ""], stderr);
  assert(stderr.includes("Cannot dial"), stderr);
});

Deno.test("qtalk proxy: it exits with 2 without two addresses and 3 if it cannot listen", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `tcp://127.0.0.1:${taken.addr.port}`;
  for (
    const [code, text, ...words] of [
      [2, "expected two addresses, got 0"],
      [2, "expected two addresses, got 1", address],
      [2, "its scheme is not one of", "tcp://127.0.0.1:0", "127.0.0.1:1"],
      [3, "Cannot listen on", address, address],
    ] as const
  ) {
    const output = await cli(["proxy", ...words]);
    assertEquals([output.code, output.stdout], [code, ""], output.stderr);
    assert(output.stderr.includes(text), output.stderr);
  }
  taken.close();
});

Deno.test("qtalk proxy: at a signal it accepts no more connections, and those that are open may end", async () => {
  const finish = Promise.withResolvers<string>();
  const started = Promise.withResolvers<void>();
  await using target = await listen("tcp://127.0.0.1:0", {
    handler: handlerFrom({
      slow() {
        started.resolve();
        return finish.promise;
      },
    }),
  });
  await using proxy = startCli([
    "proxy",
    "tcp://127.0.0.1:0",
    target.addr,
    "--drain=60",
    "--verbose",
  ]);
  const address = LISTENING.exec(await proxy.line(LISTENING))![1]!;
  await using peer = await dial(address);
  await proxy.errorLine(/^connected: tcp:/);
  const slow = peer.call("slow");
  await within(started.promise, "the call");
  proxy.child.kill("SIGTERM");
  await proxy.errorLine(/^SIGTERM: what is in progress has 60 s to end/);
  await assertRejects(() => dial(address));
  finish.resolve("done");
  assertEquals(await within(slow, "the answer"), "done");
  await peer.close();
  const { code, stderr } = await proxy.end();
  assertEquals(code, 0);
  assert(/^disconnected: tcp:/m.test(stderr), stderr);
});

Deno.test("qtalk proxy: a second signal ends connections that are open", async () => {
  const started = Promise.withResolvers<void>();
  await using target = await listen("tcp://127.0.0.1:0", {
    handler() {
      started.resolve();
      return new Promise(() => {});
    },
  });
  await using proxy = startCli([
    "proxy",
    "tcp://127.0.0.1:0",
    target.addr,
    "--drain=60",
  ]);
  const address = LISTENING.exec(await proxy.line(LISTENING))![1]!;
  await using peer = await dial(address);
  const lost = assertRejects(() => peer.call("never"));
  await within(started.promise, "the call");
  proxy.child.kill("SIGTERM");
  await proxy.errorLine(/^SIGTERM: /);
  const { code } = await proxy.end("SIGTERM");
  assert(code === 0 || code === 143, `${code}`);
  await within(lost, "the end of the call");
});
