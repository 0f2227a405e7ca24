import { dial, handlerFrom, listen } from "@qtalk/qtalk";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { cli, startCli } from "../../../tests/support/cli.ts";

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
