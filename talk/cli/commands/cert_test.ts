import { dial, listen, TalkError, TlsError } from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { cli, startCli } from "../../../tests/support/cli.ts";
import { within } from "../../../tests/support/within.ts";
import { loadMaker } from "./cert.ts";

const LISTENING = /^listening on (\S+)$/;

/** Runs `qtalk cert`, which has to succeed; resolves to what it prints. */
async function cert(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(["cert", ...args]);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

/** A folder that is removed in the end. */
async function makeFolder() {
  const folder = await Deno.makeTempDir();
  return {
    folder,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

Deno.test("qtalk cert: a server and a client trust each other by their authority", async () => {
  await using made = await makeFolder();
  const certs = `${made.folder}/certs`;
  await cert("ca", "--out", certs);
  const names = ["localhost", "127.0.0.1", "[::1]", "*.example.com"];
  await cert("server", "-o", certs, ...names.map((name) => `--name=${name}`));
  const ann = `${certs}/ann`;
  const name = "--name=#Ann, O=Example";
  await cert("client", "--out", ann, "--authority", certs, name);
  const module = `${made.folder}/service.ts`;
  await Deno.writeTextFile(module, "export default { add: (n) => n + 1 };");
  await using server = startCli([
    "serve",
    module,
    "--address=tls://127.0.0.1:0",
    ...["--cert", `${certs}/server.pem`, "--key", `${certs}/server.key`],
    ...["--ca", `${certs}/ca.pem`],
  ]);
  const address = LISTENING.exec(await server.line(LISTENING))![1]!;
  const called = await cli([
    ...["call", `${address}/add`, "1", "--ca", `${certs}/ca.pem`],
    ...["--cert", `${ann}/client.pem`, "--key", `${ann}/client.key`],
  ]);
  assertEquals(called, { code: 0, stdout: "2\n", stderr: "" });
});

Deno.test("qtalk cert: what is issued says what it is for, and no more", async () => {
  await using made = await makeFolder();
  const { folder } = made;
  await cert("ca", "--out", folder, "--name=My authority");
  const printed = await cert("server", "--out", folder, "--name=localhost");
  await cert("client", "--out", folder, "--name=#Ann, O=Example");
  const ca = `${folder}/ca.pem`;
  const of = (name: string) => ({
    cert: `${folder}/${name}.pem`,
    key: `${folder}/${name}.key`,
  });
  await using listener = await listen("tls://127.0.0.1:0", {
    tls: { ...of("server"), ca, clientCert: "required" },
    onPeer: (_peer, { tls }) => tls!.peerCertificate!.subject,
    handler: (call, respond) => respond.return(call.peer.context),
    onError: () => {},
  });
  const serverName = "localhost";
  const options = { ca, serverName, ...of("client") };
  await using peer = await dial(listener.addr, { tls: options });
  assertEquals(await within(peer.call("who"), "a"), "CN=#Ann\\, O=Example");
  // The fingerprint that is printed is that of the certificate.
  const pin = /^fingerprint: (sha256:[\da-f]{64})$/m.exec(printed)![1]!;
  const pinned = { pin, ...of("client") };
  await using other = await dial(listener.addr, { tls: pinned });
  await within(other.call("who"), "an answer");

  const wrong = await assertRejects(
    () => dial(listener.addr, { tls: { ca, ...of("client") } }),
    TalkError,
  );
  assert(wrong.cause instanceof TlsError, `${wrong.cause}`);
  assertEquals(wrong.cause.code, "wrong-name");
  // A certificate of a server is none of a client.
  const asClient = { ca, serverName, ...of("server") };
  await using refused = await dial(listener.addr, { tls: asClient });
  const lost = await assertRejects(() => within(refused.call("who"), "a"));
  const { cause } = lost as Error;
  assert(cause instanceof TlsError, `${cause}`);
  assertEquals(cause.code, "wrong-client-certificate");
});

Deno.test("qtalk cert: only the user can read the keys, and none is printed", async () => {
  await using made = await makeFolder();
  const { folder } = made;
  const printed = await cert("ca", "--out", folder) +
    await cert("client", "--out", folder, "--name", "Ann");
  for (const name of ["ca", "client"]) {
    // Windows has no modes of files.
    const { mode } = await Deno.stat(`${folder}/${name}.key`);
    if (Deno.build.os !== "windows") assertEquals(mode! & 0o777, 0o600);
    const key = await Deno.readTextFile(`${folder}/${name}.key`);
    for (const line of key.trim().split("\n").slice(1, -1)) {
      assert(!printed.includes(line), printed);
    }
  }
});

Deno.test("qtalk cert: no file is replaced", async () => {
  await using made = await makeFolder();
  const { folder } = made;
  await cert("ca", "--out", folder);
  const key = await Deno.readTextFile(`${folder}/ca.key`);
  const again = await cli(["cert", "ca", "--out", folder]);
  assertEquals([again.code, again.stdout], [2, ""]);
  assert(again.stderr.includes("it exists already"), again.stderr);
  assertEquals(await Deno.readTextFile(`${folder}/ca.key`), key);
  await Deno.writeTextFile(`${folder}/client.pem`, "");
  const client = await cli(["cert", "client", "-o", folder, "--name=Ann"]);
  assertEquals([client.code, client.stdout], [2, ""]);
  await assertRejects(() => Deno.lstat(`${folder}/client.key`));
});

Deno.test("qtalk cert: an authority that cannot issue is an error, which shows no key", async () => {
  await using made = await makeFolder();
  const { folder } = made;
  await cert("ca", "--out", `${folder}/a`);
  await cert("ca", "--out", `${folder}/b`);
  await cert("client", "--out", `${folder}/a`, "--name", "Ann");
  const copies: [from: string, to: string][] = [
    ["a/ca.pem", "mixed/ca.pem"],
    ["b/ca.key", "mixed/ca.key"],
    ["a/client.pem", "leaf/ca.pem"],
    ["a/client.key", "leaf/ca.key"],
    ["a/ca.pem", "broken/ca.pem"],
  ];
  for (const name of ["mixed", "leaf", "broken"]) {
    await Deno.mkdir(`${folder}/${name}`);
  }
  for (const [from, to] of copies) {
    await Deno.copyFile(`${folder}/${from}`, `${folder}/${to}`);
  }
  const broken =
    "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----";
  await Deno.writeTextFile(`${folder}/broken/ca.key`, broken);
  for (
    const [authority, why] of [
      ["mixed", "the key does not belong to the certificate"],
      ["leaf", "the certificate does not belong to an authority"],
      ["broken", "the key is not one of `qtalk cert ca`"],
      ["none", "`qtalk cert ca` makes one"],
    ]
  ) {
    const { code, stdout, stderr } = await cli([
      ...["cert", "client", "--out", `${folder}/out`, "--name=Ann"],
      ...["--authority", `${folder}/${authority}`],
    ]);
    assertEquals([code, stdout], [2, ""], stderr);
    assert(stderr.includes(why!), stderr);
    assert(!stderr.includes("SECRET"), stderr);
  }
  await assertRejects(() => Deno.lstat(`${folder}/out`));
});

Deno.test("qtalk cert: arguments that are not valid exit with 2", async () => {
  await using made = await makeFolder();
  const { folder } = made;
  const out = `--out=${folder}/out`;
  for (
    const [why, ...words] of [
      ["expected ca, server, client or peer"],
      ["expected ca, server, client or peer", "constructor", out],
      ["expected ca, server, client or peer", "ca", "server", out],
      ["without --out", "ca"],
      ["without --name", "server", out],
      ["without --name", "client", out],
      ["several --name", "client", out, "--name=a", "--name=b"],
      ["neither the name of a host", "server", out, "--name=tls://a:1"],
      ["neither the name of a host", "server", out, "--name=a:1"],
      ["neither the name of a host", "server", out, "--name=1.2.3"],
      ["it is empty", "client", out, "--name= "],
      ["it is not printable", "client", out, "--name=a\nb"],
      ["more than 64 characters", "client", out, `--name=${"a".repeat(65)}`],
      ["more than 36500", "ca", out, "--days=36501"],
      ["Cannot use --days", "ca", out, "--days=0"],
      ["it has no other one", "ca", out, "--authority=x"],
      ["is what others trust", "peer", out, "--name=a", "--authority=x"],
    ] as const
  ) {
    const { code, stdout, stderr } = await cli(["cert", ...words]);
    assertEquals([code, stdout], [2, ""], stderr);
    assert(stderr.includes(why), stderr);
  }
  await assertRejects(() => Deno.lstat(`${folder}/out`));
});

Deno.test("qtalk cert: without the library of npm, the error says how to get it", async () => {
  const cause = new Error(
    "Could not find package 'reflect-metadata' from referrer 'file:///x.js'.\n  at x",
  );
  const error = await assertRejects(
    () => loadMaker(() => Promise.reject(cause)),
    Error,
    "Could not find package 'reflect-metadata'",
  );
  assertStringIncludes(
    error.message,
    "npm install @peculiar/x509 reflect-metadata",
  );
});
