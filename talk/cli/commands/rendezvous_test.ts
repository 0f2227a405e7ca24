import {
  dial,
  handlerFrom,
  listen,
  MuxError,
  type TalkError,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { cli, type RunningCli, startCli } from "../../../tests/support/cli.ts";
import { within } from "../../../tests/support/within.ts";

const LISTENING = /^listening on (\S+)$/;

/** Keys of `qtalk cert peer`, in a folder that is removed in the end. */
async function makeKeys(...names: string[]) {
  const folder = await Deno.makeTempDir();
  const pins: Record<string, string> = {};
  for (const name of names) {
    const { code, stdout } = await cli([
      ...["cert", "peer", "--out", `${folder}/${name}`, "--name", name],
    ]);
    assertEquals(code, 0);
    pins[name] = /^fingerprint: (\S+)$/m.exec(stdout)![1]!;
  }
  return {
    folder,
    /** Their fingerprints. */
    pins,
    /** The options of a key. */
    of: (name: string) => [
      ...["--cert", `${folder}/${name}/peer.pem`],
      ...["--key", `${folder}/${name}/peer.key`],
    ],
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

Deno.test("qtalk rendezvous: peers with keys of qtalk cert meet at it", async () => {
  await using keys = await makeKeys("meet", "ann", "bob");
  const { folder, pins } = keys;
  const of = (name: string) => ({
    cert: `${folder}/${name}/peer.pem`,
    key: `${folder}/${name}/peer.key`,
  });
  await using server = startCli(
    ["rendezvous", "quic://127.0.0.1:0", ...keys.of("meet")],
    { permissions: ["-A", "--unstable-net"] },
  );
  const address = LISTENING.exec(await server.line(LISTENING))![1]!;
  const rendezvous = { tls: { pin: pins["meet"] } };
  await using listener = await listen(`peer:bob@${address}`, {
    tls: of("bob"),
    rendezvous,
    handler: handlerFrom({ add: (a: number, b: number) => a + b }),
  });
  assert(listener.addr.endsWith(`#${pins["bob"]}`), listener.addr);
  await using peer = await dial(listener.addr, {
    tls: of("ann"),
    rendezvous,
  });
  assertEquals(await peer.call("add", [1, 2]), 3);
  assertEquals(peer.way, "direct");
});

Deno.test("qtalk serve, call, describe, ping and proxy: at peer:, two peers meet at a rendezvous", async () => {
  await using keys = await makeKeys("meet", "ann", "bob");
  const service = `${keys.folder}/service.ts`;
  await Deno.writeTextFile(
    service,
    "export default { add: (a: number, b: number) => a + b };",
  );
  const permissions = ["-A", "--unstable-net"];
  await using meeting = startCli(
    ["rendezvous", "quic://127.0.0.1:0", ...keys.of("meet")],
    { permissions },
  );
  const address = LISTENING.exec(await meeting.line(LISTENING))![1]!;
  const trust = ["--rendezvous-pin", keys.pins["meet"]!];
  await using serving = startCli(
    [
      ...["serve", service, "--address", `peer:bob@${address}`, "--verbose"],
      ...["--peer-pin", keys.pins["ann"]!, ...keys.of("bob"), ...trust],
    ],
    { permissions },
  );
  const peer = LISTENING.exec(await serving.line(LISTENING))![1]!;
  assertEquals(peer, `peer:bob@${address}#${keys.pins["bob"]}`);
  const asAnn = (...args: string[]) =>
    cli([...args, ...keys.of("ann"), ...trust], { permissions });
  const three = { code: 0, stdout: "3\n", stderr: "" };
  assertEquals(await asAnn("call", peer, "add", "1", "2"), three);
  assertEquals(await asAnn("call", `${peer}/add`, "1", "2"), three);
  const pin = keys.pins["bob"]!;
  const unnamed = peer.replace(/#.*/, "");
  assertEquals(
    await asAnn("call", unnamed, "add", "1", "2", "--pin", pin),
    three,
  );
  const from = `connected: ${keys.pins["ann"]}, direct`;
  assertEquals(await serving.errorLine(/^connected:/), from);
  const { code, stdout } = await asAnn("describe", peer);
  assertEquals(code, 0);
  assertMatch(stdout, /add/);
  const pinged = await asAnn("ping", peer, "--count", "1");
  assertEquals(pinged.code, 0, pinged.stderr);

  await using proxy = startCli(
    ["proxy", "tcp://127.0.0.1:0", peer, ...keys.of("ann"), ...trust],
    { permissions },
  );
  const near = LISTENING.exec(await proxy.line(LISTENING))![1]!;
  assertEquals(await cli(["call", near, "add", "1", "2"]), three);

  // Bob accepts only Ann.
  const refused = await cli(
    ["call", peer, "add", "1", "2", ...keys.of("meet"), ...trust],
    { permissions },
  );
  assertEquals([refused.code, refused.stdout], [3, ""]);
  assertMatch(refused.stderr, /does not trust the certificate/);
  // Another peer is not taken for Bob.
  const other = await asAnn("call", unnamed, "add", "--pin", keys.pins["ann"]!);
  assertEquals([other.code, other.stdout], [3, ""]);
  assertMatch(other.stderr, /has another key/);
});

Deno.test("qtalk tunnel: both halves meet at a rendezvous", async () => {
  await using keys = await makeKeys("meet", "ann", "bob");
  const permissions = ["-A", "--unstable-net"];
  await using meeting = startCli(
    ["rendezvous", "quic://127.0.0.1:0", ...keys.of("meet")],
    { permissions },
  );
  const address = LISTENING.exec(await meeting.line(LISTENING))![1]!;
  const trust = ["--rendezvous-pin", keys.pins["meet"]!, "--insecure"];
  await using listening = startCli(
    ["tunnel", "listen", `peer:bob@${address}`, ...keys.of("bob"), ...trust],
    { permissions },
  );
  const peer = LISTENING.exec(await listening.line(LISTENING))![1]!;
  using server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = (async () => {
    for await (const conn of server) {
      await conn.write(new TextEncoder().encode("hello\n"));
      conn.close();
    }
  })();
  const port = String(server.addr.port);
  await using publishing = startCli(
    [
      ...["tunnel", "publish", port, peer, "--check", "0"],
      ...[...keys.of("ann"), ...trust],
    ],
    { permissions },
  );
  const line = await publishing.line(/127\.0\.0\.1:\d+/);
  const [, publicPort] = /127\.0\.0\.1:(\d+)/.exec(line)!;
  const conn = await Deno.connect({
    hostname: "127.0.0.1",
    port: Number(publicPort),
  });
  assertEquals(await new Response(conn.readable).text(), "hello\n");
  server.close();
  await served;
});

Deno.test("qtalk rendezvous --known-as: registrations for another name are refused", async () => {
  await using keys = await makeKeys("bob");
  await using meeting = startCli([
    ...["rendezvous", "tcp://127.0.0.1:0", "--known-as", "Meet.example"],
  ]);
  const address = LISTENING.exec(await meeting.line(LISTENING))![1]!;
  const { code, stderr } = await cli([
    ...["interop", `peer:bob@${address}`, ...keys.of("bob")],
  ]);
  assertEquals(code, 3, stderr);
  assertMatch(stderr, /is for another rendezvous, "127\.0\.0\.1"/);
});

Deno.test("qtalk rendezvous: arguments that are not valid exit with 2", async () => {
  for (
    const [why, ...words] of [
      ["expected an address"],
      ["expected an address", "tcp://127.0.0.1:0", "b"],
      ["not a whole number above 0", "tcp://127.0.0.1:0", "--max-names=0"],
      ["without --cert and --key", "quic://127.0.0.1:0"],
      ["is an address of a peer", "peer:bob@quic://127.0.0.1:0"],
      ["neither a host nor", "tcp://127.0.0.1:0", "--known-as=a b"],
    ] as const
  ) {
    const { code, stdout, stderr } = await cli(["rendezvous", ...words]);
    assertEquals([code, stdout], [2, ""], stderr);
    assert(stderr.includes(why), stderr);
  }
});

/** Starts a rendezvous as a process; where it listens. */
async function startRendezvous(
  address: string,
  options: string[],
): Promise<{ server: RunningCli; address: string }> {
  const server = startCli(["rendezvous", address, ...options], {
    permissions: ["-A", "--unstable-net"],
  });
  const found = LISTENING.exec(await server.line(LISTENING))![1]!;
  return { server, address: found };
}

Deno.test("qtalk rendezvous: when it is killed, a relayed session ends, and goes on by reconnecting when it is back", async () => {
  await using keys = await makeKeys("ann", "bob");
  const { folder } = keys;
  const of = (name: string) => ({
    cert: `${folder}/${name}/peer.pem`,
    key: `${folder}/${name}/peer.key`,
  });
  const first = await startRendezvous("tcp://127.0.0.1:0", []);
  await using _first = first.server;
  const ends: Promise<unknown>[] = [];
  const unreachable = Promise.withResolvers<unknown>();
  await using listener = await listen(`peer:bob@${first.address}`, {
    tls: of("bob"),
    handler: handlerFrom({
      add: (a: number, b: number) => a + b,
      hang: () => new Promise(() => {}),
    }),
    onPeer: (peer) => void ends.push(peer.closed.catch((error) => error)),
    onError(error) {
      const { code } = error as TalkError;
      if (code === "listen-failed") unreachable.resolve(error);
    },
  });
  const options = { tls: of("ann"), rendezvous: { directTimeout: 0 } };
  await using once = await dial(listener.addr, options);
  await using peer = await dial(listener.addr, {
    ...options,
    reconnect: { minDelay: 10, maxDelay: 100 },
  });
  assertEquals(once.way, "relayed");
  assertEquals(await peer.call("add", [1, 2]), 3);
  const closed = assertRejects(() => once.closed, MuxError);
  const waiting = assertRejects(() => peer.call("hang"), MuxError);
  await first.server.end("SIGKILL");
  assertEquals((await closed).code, "connection-lost");
  assertEquals((await waiting).code, "connection-lost");
  // The listening end learns the same of both, and that its name is lost.
  for (const end of ends.slice(0, 2)) {
    assertEquals((await end as MuxError).code, "connection-lost");
  }
  await within(unreachable.promise, "the listener to report it");
  const second = await startRendezvous(first.address, []);
  await using _second = second.server;
  assertEquals(await peer.call("add", [3, 4]), 7);
});

Deno.test("qtalk rendezvous: when it is killed, a direct session goes on", async () => {
  await using keys = await makeKeys("meet", "ann", "bob");
  const { folder, pins } = keys;
  const of = (name: string) => ({
    cert: `${folder}/${name}/peer.pem`,
    key: `${folder}/${name}/peer.key`,
  });
  const { server, address } = await startRendezvous(
    "quic://127.0.0.1:0",
    keys.of("meet"),
  );
  await using _server = server;
  const rendezvous = { tls: { pin: pins["meet"] } };
  await using listener = await listen(`peer:bob@${address}`, {
    tls: of("bob"),
    rendezvous,
    handler: handlerFrom({
      add: (a: number, b: number) => a + b,
      async *count() {
        for (let n = 0;; n++) yield await Promise.resolve(n);
      },
    }),
    onError() {},
  });
  await using peer = await dial(listener.addr, { tls: of("ann"), rendezvous });
  assertEquals(peer.way, "direct");
  const stream = await peer.request("count");
  const values = stream[Symbol.asyncIterator]();
  assertEquals((await values.next()).value, 0);
  await server.end("SIGKILL");
  for (let n = 1; n <= 1_000; n++) {
    assertEquals((await values.next()).value, n);
  }
  assertEquals(await peer.call("add", [1, 2]), 3);
  await values.return?.();
});
