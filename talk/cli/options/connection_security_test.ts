import { CallError, dial, handlerFrom, listen } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { makeAuthority } from "../../../tests/support/certificates.ts";
import { cli, startCli } from "../../../tests/support/cli.ts";
import { within } from "../../../tests/support/within.ts";
import {
  bothSecurities,
  dialSecurity,
  type DialTerminal,
  listenSecurity,
} from "./connection_security.ts";
import { UsageError } from "../exit_code.ts";

const LISTENING = /^listening on (\S+)$/;

const authority = await makeAuthority("test authority");
const stranger = await makeAuthority("another authority");
const server = await authority.issue("CN=server", {
  names: ["localhost", "127.0.0.1"],
});
const ann = await authority.issue("CN=Ann");
const eve = await stranger.issue("CN=Eve");

/** The certificates and keys, in a folder that is removed in the end. */
async function makeFiles() {
  const folder = await Deno.makeTempDir();
  const write = async (name: string, text: string) => {
    await Deno.writeTextFile(`${folder}/${name}`, text);
    return `${folder}/${name}`;
  };
  return {
    folder,
    ca: await write("ca.pem", authority.cert),
    otherCa: await write("other_ca.pem", stranger.cert),
    cert: await write("server.pem", server.cert),
    key: await write("server.key", server.key),
    ann: await write("ann.pem", ann.cert),
    annKey: await write("ann.key", ann.key),
    eve: await write("eve.pem", eve.cert),
    eveKey: await write("eve.key", eve.key),
    service: await write(
      "service.ts",
      "export default { Upper: (s: string) => s.toUpperCase() };",
    ),
    garbage: await write("garbage.pem", "SECRET\n"),
    brokenKey: await write(
      "broken.key",
      "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n",
    ),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** Keeps what options conceal. */
function concealing() {
  const concealed: string[] = [];
  return {
    concealed,
    conceal: (text: string) => void concealed.push(text),
    dialPrefix: "",
  } satisfies DialTerminal & { concealed: string[] };
}

for (const scheme of ["tls", "wss"]) {
  Deno.test(`qtalk serve, over ${scheme}: it has a certificate, which call checks by --ca and --pin`, async () => {
    await using files = await makeFiles();
    const { cert, key, ca, otherCa } = files;
    await using running = startCli([
      "serve",
      files.service,
      `--address=${scheme}://127.0.0.1:0`,
      ...["--cert", cert, "--key", key],
    ]);
    const address = LISTENING.exec(await running.line(LISTENING))![1]!;
    const call = (...options: string[]) =>
      cli(["call", address, "Upper", "a", ...options]);
    const ok = { code: 0, stdout: '"A"\n', stderr: "" };
    assertEquals(await call("--ca", ca), ok);
    const pins = [ann.fingerprint, server.fingerprint];
    assertEquals(await call(...pins.map((pin) => `--pin=${pin}`)), ok);
    for (
      const [why, ...options] of [
        ["unknown: --ca adds it, or --pin trusts", "--ca", otherCa],
        ["is not one of --pin: its fingerprint", "--pin", ann.fingerprint],
      ]
    ) {
      const { code, stdout, stderr } = await call(...options);
      assertEquals([code, stdout], [3, ""], stderr);
      assert(stderr.includes(why!), stderr);
    }
  });
}

Deno.test("qtalk serve --ca: clients need a certificate of that authority", async () => {
  await using files = await makeFiles();
  const { ca, cert, key } = files;
  await using running = startCli([
    "serve",
    files.service,
    "--address=tls://127.0.0.1:0",
    ...["--cert", cert, "--key", key, "--ca", ca],
  ]);
  const address = LISTENING.exec(await running.line(LISTENING))![1]!;
  const call = (...options: string[]) =>
    cli(["call", `${address}/Upper`, "a", "--ca", ca, ...options]);
  const trusted = await call("--cert", files.ann, "--key", files.annKey);
  assertEquals(trusted, { code: 0, stdout: '"A"\n', stderr: "" });
  for (
    const [why, ...options] of [
      ["the server demands a client certificate"],
      [
        "the server does not trust the client certificate",
        ...["--cert", files.eve, "--key", files.eveKey],
      ],
    ]
  ) {
    const { code, stdout, stderr } = await call(...options);
    assertEquals([code, stdout], [3, ""], stderr);
    assert(stderr.includes(why!), stderr);
  }
  const { code, stderr } = await running.end("SIGTERM");
  assertEquals(code, 0);
  assert(stderr.includes("the client has no certificate"), stderr);
});

Deno.test("qtalk: every command that dials has the options of TLS", async () => {
  await using files = await makeFiles();
  const { cert, key } = files;
  await using interop = startCli([
    "interop",
    "tls://127.0.0.1:0",
    ...["--cert", cert, "--key", key],
  ]);
  const address = LISTENING.exec(await interop.line(LISTENING))![1]!;
  const commands: [expected: number, ...words: string[]][] = [
    [0, "ping", address, "--codec=cbor", "--count=1"],
    [1, "describe", address, "--codec=cbor"],
    [1, "types", address, "--codec=cbor"],
    [0, "bench", address, "--seconds=0.01", "--mib=0.1"],
    [1, "bench", `${address}/None`, "--seconds=0.01"],
    [0, "check", address],
  ];
  for (const [expected, ...words] of commands) {
    const trusted = await cli([...words, "--ca", files.ca]);
    assertEquals(trusted.code, expected, `${words}: ${trusted.stderr}`);
    const { code, stderr } = await cli([...words, "--ca", files.otherCa]);
    assertEquals(code, 3, stderr);
    assert(stderr.includes("issuer of the certificate is unknown"), stderr);
  }
});

Deno.test("qtalk proxy: it has a certificate of its own, and another one for the server", async () => {
  await using files = await makeFiles();
  const { ca, cert, key } = files;
  await using target = await listen("tls://127.0.0.1:0", {
    tls: { ca, cert, key, clientCert: "required" },
    onPeer: (_peer, { tls }) => tls!.peerCertificate!.subject,
    handler: (call, respond) => respond.return(call.peer.context),
  });
  await using proxy = startCli([
    "proxy",
    "tls://127.0.0.1:0",
    target.addr,
    ...["--cert", cert, "--key", key],
    ...["--dial-ca", ca, "--dial-cert", files.ann, "--dial-key", files.annKey],
  ]);
  const address = LISTENING.exec(await proxy.line(LISTENING))![1]!;
  await using peer = await dial(address, { tls: { ca } });
  assertEquals(await within(peer.call("who"), "an answer"), "CN=Ann");
});

Deno.test("qtalk inspect: --ca is for the server if its own side has no TLS", async () => {
  await using files = await makeFiles();
  const { ca, cert, key } = files;
  await using target = await listen("tls://127.0.0.1:0", {
    tls: { cert, key },
    handler: handlerFrom({ Upper: (s: string) => s.toUpperCase() }),
  });
  await using inspect = startCli([
    "inspect",
    "tcp://127.0.0.1:0",
    target.addr,
    ...["--ca", ca],
  ]);
  const address = LISTENING.exec(await inspect.line(LISTENING))![1]!;
  await using peer = await dial(address);
  assertEquals(await within(peer.call("Upper", ["a"]), "an answer"), "A");
  await inspect.line(/Upper/);
});

Deno.test("qtalk tunnel: both halves have certificates", async () => {
  await using files = await makeFiles();
  const { ca, cert, key } = files;
  const env = { QTALK_TUNNEL_TOKEN: "token" };
  await using listener = startCli(
    [
      "tunnel",
      "listen",
      "tls://127.0.0.1:0",
      ...["--cert", cert, "--key", key, "--ca", ca],
    ],
    { env },
  );
  const address = LISTENING.exec(await listener.line(LISTENING))![1]!;
  const args = ["tunnel", "publish", "1", address, "--check=0", "--ca", ca];
  const own = ["--cert", files.ann, "--key", files.annKey];
  await using publisher = startCli([...args, ...own], { env });
  await publisher.line(/^published at tcp:/);
  await using refused = startCli(args, { env });
  const refusal = /the server demands a client certificate/;
  await refused.errorLine(refusal);
  assertEquals((await refused.end()).code, 3);
});

Deno.test("qtalk --header: the server gets it, and no error shows its value", async () => {
  await using listener = await listen("ws://127.0.0.1:0/", {
    onPeer: (_peer, { request }) => request!.headers.get("authorization"),
    handler(call, respond) {
      if (call.selector === "/who") return respond.return(call.peer.context);
      const said = String(call.peer.context);
      throw new CallError(`not for ${said}, nor ${said.split(" ")[1]}`);
    },
  });
  const call = (selector: string, ...headers: string[]) =>
    cli([
      "call",
      listener.addr,
      selector,
      ...headers.map((one) => `--header=${one}`),
    ]);
  const header = "Authorization: Bearer SECRET";
  const who = await call("who", "X-Other: 1", header);
  assertEquals(who, { code: 0, stdout: '"Bearer SECRET"\n', stderr: "" });
  const refused = await call("other", header);
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assert(refused.stderr.includes("not for …, nor …"), refused.stderr);
  for (
    const wrong of [
      "SECRET",
      "Bearer SECRET: x",
      "X: SECRET\n",
      "Upgrade:SECRET",
    ]
  ) {
    const { stdout, stderr } = await call("who", wrong);
    assertEquals(stdout, wrong.endsWith("\n") ? "null\n" : "", stderr);
    assert(!stderr.includes("SECRET"), stderr);
  }
});

Deno.test("qtalk: files that cannot be used are named, and not shown", async () => {
  await using files = await makeFiles();
  const { folder, ca, cert, key, garbage, brokenKey } = files;
  const serve = ["serve", files.service, "--address=tls://127.0.0.1:0"];
  const call = ["call", "tls://127.0.0.1:1/Upper"];
  const cases: [code: number, why: string, ...words: string[]][] = [
    [2, "without --cert and --key", ...serve],
    [2, "without --cert and --key", ...serve, "--cert", cert],
    [2, "Cannot read --key", ...serve, "--cert", cert, "--key", `${folder}/x`],
    [2, "no unencrypted key", ...serve, "--cert", cert, "--key", garbage],
    [2, "no unencrypted key", ...serve, "--cert", cert, "--key", cert],
    [2, "no certificate", ...serve, "--cert", key, "--key", key],
    [3, "Cannot listen", ...serve, "--cert", cert, "--key", brokenKey],
    [
      3,
      "--key does not belong to --cert",
      ...serve,
      "--cert",
      cert,
      "--key",
      files.annKey,
    ],
    [2, "no certificate in PEM", ...call, "--ca", garbage],
    [2, "Cannot use --cert without --key", ...call, "--cert", cert],
    [2, "Cannot use --key without --cert", ...call, "--key", key],
    [2, "not its content", ...call, `--ca=${server.key}`],
  ];
  for (const [expected, why, ...words] of cases) {
    const { code, stdout, stderr } = await cli(words);
    assertEquals([code, stdout], [expected, ""], stderr);
    assert(stderr.includes(why), stderr);
    for (const secret of ["SECRET", ...server.key.split("\n").slice(1, -2)]) {
      assert(!stderr.includes(secret), stderr);
    }
  }
  assertEquals((await listenSecurity("TLS://h:1", { cert, key, ca })).tls, {
    cert,
    key,
    ca,
    clientCert: "required",
  });
});

Deno.test("dialSecurity: an option without an effect on the address is refused", async () => {
  const terminal = concealing();
  const pin = ["sha256:" + "0".repeat(64)];
  for (
    const [address, given] of [
      ["tcp://h:1", { ca: "ca.pem" }],
      ["ws://h:1/", { pin }],
      ["unix:/s", { cert: "c.pem", key: "k.pem" }],
      ["tls://h:1", { header: ["X: 1"] }],
      [undefined, { header: ["X: 1"] }],
      [undefined, { pin }],
      ["tls://h:1", { pin: ["sha256:12"] }],
    ] as const
  ) {
    await assertRejects(
      () => dialSecurity(address, given, terminal),
      UsageError,
      "Cannot use --",
    );
  }
  const given = { pin, header: ["Authorization: Bearer SECRET"] };
  assertEquals(await dialSecurity("wss://h/", given, terminal), {
    tls: { pin },
    headers: [["Authorization", "Bearer SECRET"]],
  });
  assert(terminal.concealed.includes("Bearer SECRET"));
  assertEquals(await dialSecurity("tls://h:1", {}, terminal), {});
});

Deno.test("listenSecurity: client certificates need an authority", async () => {
  await using files = await makeFiles();
  const { ca, cert, key } = files;
  for (
    const given of [
      { cert, key, "client-cert": "required" },
      { cert, key, "client-cert": "optional" },
      { cert, key, ca, "client-cert": "yes" },
    ]
  ) {
    await assertRejects(
      () => listenSecurity("tls://h:1", given),
      UsageError,
      "Cannot use --client-cert",
    );
  }
  const optional = { cert, key, ca, "client-cert": "optional" };
  const { tls } = await listenSecurity("wss://h:1/", optional);
  assertEquals(tls?.clientCert, "optional");
  const cases = [
    [{ ca }, "is for tls: and wss: only"],
    [{ cert }, "is for tls:, wss:, quic:, wt: and peer: only"],
    [{ "client-cert": "none" }, "is for tls: and wss: only"],
  ] as const;
  for (const [given, why] of cases) {
    const listening = () => listenSecurity("tcp://h:1", given);
    await assertRejects(listening, UsageError, why);
  }
});

const PEER = `peer:bob@quic://h:1#sha256:${"ab".repeat(32)}`;
const PIN = "cd".repeat(32);

Deno.test("dialSecurity: at peer:, the key is that of this peer, and the rendezvous has options of its own", async () => {
  await using files = await makeFiles();
  const { ca, cert, key } = files;
  const terminal = concealing();
  const dialing = (address: string, given: object) =>
    dialSecurity(address, given, terminal);
  assertEquals(await dialing(PEER, { cert, key }), { tls: { cert, key } });
  assertEquals(
    await dialing("peer:bob@quic://h:1", { cert, key, pin: [PIN] }),
    { tls: { cert, key, pin: [PIN] } },
  );
  assertEquals(
    await dialing(PEER, {
      cert,
      key,
      "rendezvous-ca": ca,
      "rendezvous-pin": [PIN],
    }),
    { tls: { cert, key }, rendezvous: { tls: { ca, pin: [PIN] } } },
  );
  const request = ["authorization: SECRET"];
  assertEquals(
    await dialing(PEER.replace("quic", "ws"), { cert, key, header: request }),
    {
      tls: { cert, key },
      rendezvous: { headers: [["authorization", "SECRET"]] },
    },
  );
  assertEquals(terminal.concealed, ["SECRET"]);
  for (
    const [address, given, why] of [
      [PEER, {}, "without --cert and --key"],
      [PEER, { cert }, "without --key"],
      [PEER, { cert, key, ca }, "is not for peer:"],
      ["peer:bob@quic://h:1", { cert, key }, "without its fingerprint"],
      [PEER, { cert, key, "rendezvous-pin": ["12"] }, "Cannot use --rend"],
      [PEER, { cert, key, header: request }, "is for ws: and wss: only"],
      [
        PEER.replace("quic", "tcp"),
        { cert, key, "rendezvous-ca": ca },
        "is for a rendezvous with TLS",
      ],
      ["tls://h:1", { "rendezvous-pin": [PIN] }, "is for peer: only"],
      ["tcp://h:1", { "rendezvous-ca": ca }, "is for peer: only"],
      [undefined, { "rendezvous-ca": ca }, "is for peer: only"],
    ] as const
  ) await assertRejects(() => dialing(address!, given), UsageError, why);
});

Deno.test("listenSecurity: at peer:, the key is that of this peer, and other peers may be limited", async () => {
  await using files = await makeFiles();
  const { ca, cert, key } = files;
  const address = "peer:bob@quic://h:1";
  assertEquals(await listenSecurity(address, { cert, key }), {
    tls: { cert, key },
  });
  assertEquals(
    await listenSecurity(address, {
      cert,
      key,
      "peer-pin": [PIN],
      "rendezvous-pin": [PIN],
    }),
    { tls: { cert, key, pin: [PIN] }, rendezvous: { tls: { pin: [PIN] } } },
  );
  for (
    const [at, given, why] of [
      [address, {}, "without --cert and --key"],
      [address, { cert, key, ca }, "is not for peer:"],
      [address, { cert, key, "client-cert": "none" }, "is not for peer:"],
      [address, { cert, key, "peer-pin": ["1"] }, "Cannot use --peer-pin"],
      ["tls://h:1", { cert, key, "peer-pin": [PIN] }, "is for peer: only"],
      ["tcp://h:1", { "rendezvous-pin": [PIN] }, "is for peer: only"],
    ] as const
  ) await assertRejects(() => listenSecurity(at, given), UsageError, why);
});

Deno.test("bothSecurities: at peer:, each side gets its own key, and both the same rendezvous", async () => {
  await using files = await makeFiles();
  const { ca, cert, key, ann, annKey } = files;
  const terminal = concealing();
  const both = (from: string, to: string, given: object) =>
    bothSecurities(from, to, given, terminal);
  const rendezvous = { tls: { ca } };
  const trust = { "rendezvous-ca": ca };
  assertEquals(await both("tcp://a:1", PEER, { cert, key, ...trust }), {
    listening: {},
    dialing: { tls: { cert, key }, rendezvous },
  });
  assertEquals(
    await both("peer:ann@quic://h:1", "tcp://a:1", { cert, key, ...trust }),
    { listening: { tls: { cert, key }, rendezvous }, dialing: {} },
  );
  assertEquals(
    await both("peer:ann@quic://h:1", PEER, {
      cert,
      key,
      "dial-cert": ann,
      "dial-key": annKey,
      "peer-pin": [PIN],
      ...trust,
    }),
    {
      listening: { tls: { cert, key, pin: [PIN] }, rendezvous },
      dialing: { tls: { cert: ann, key: annKey }, rendezvous },
    },
  );
  for (
    const [from, to, given] of [
      ["tcp://a:1", "tcp://b:1", trust],
      ["tls://a:1", "tcp://b:1", { cert, key, ...trust }],
      ["tcp://a:1", "tls://b:1", { ca, ...trust }],
      ["tcp://a:1", PEER, { cert, key, "peer-pin": [PIN] }],
    ] as const
  ) await assertRejects(() => both(from, to, given), UsageError, "peer: only");
});

Deno.test("bothSecurities: the options are those of the side that has TLS", async () => {
  await using files = await makeFiles();
  const { ca, cert, key } = files;
  const terminal = concealing();
  const both = (from: string, to: string, given: object) =>
    bothSecurities(from, to, given, terminal);
  assertEquals(await both("tls://a:1", "tcp://b:1", { cert, key }), {
    listening: { tls: { cert, key, clientCert: "none" } },
    dialing: {},
  });
  assertEquals(await both("tcp://a:1", "tls://b:1", { ca, cert, key }), {
    listening: {},
    dialing: { tls: { ca, cert, key } },
  });
  assertEquals(await both("tcp://a:1", "tls://b:1", { "dial-ca": ca }), {
    listening: {},
    dialing: { tls: { ca } },
  });
  for (
    const [from, to, given] of [
      ["tcp://a:1", "tcp://b:1", { ca }],
      ["tcp://a:1", "tcp://b:1", { "dial-ca": ca }],
      ["tls://a:1", "tcp://b:1", { cert, key, "dial-ca": ca }],
      ["tcp://a:1", "tls://b:1", { ca, "dial-ca": ca }],
      ["tcp://a:1", "tls://b:1", { "client-cert": "none" }],
      ["tls://a:1", "tls://b:1", { "dial-cert": cert }],
    ] as const
  ) {
    await assertRejects(() => both(from, to, given), UsageError);
  }
});
