import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  dial,
  handlerFrom,
  listen,
  type Listener,
  MuxError,
  type Peer,
  TalkError,
  type TlsDialOptions,
  TlsError,
  type TlsInfo,
  type TlsListenOptions,
} from "@qtalk/qtalk";
import { certificateFiles } from "../../tests/support/certificate_files.ts";
import { makeAuthority } from "../../tests/support/certificates.ts";
import { test } from "../../tests/support/harness.ts";
import { within } from "../../tests/support/within.ts";
import { utf8 } from "../../tests/support/wire.ts";

const ca = await makeAuthority("test authority");
const stranger = await makeAuthority("another authority");
const names = ["localhost", "127.0.0.1"];
const server = await ca.issue("CN=server", { names });
const ann = await ca.issue("CN=Ann, O=Example", { names: ["ann.test"] });
const eve = await stranger.issue("CN=Eve");

/** Errors that a listener reports. */
class Reports {
  readonly #errors: unknown[] = [];
  #waiting: ((error: unknown) => void) | undefined;

  readonly add = (error: unknown) => {
    if (this.#waiting !== undefined) this.#waiting(error);
    else this.#errors.push(error);
    this.#waiting = undefined;
  };

  /** The next error. */
  next(): Promise<unknown> {
    const error = this.#errors.shift();
    if (error !== undefined) return Promise.resolve(error);
    return new Promise((resolve) => this.#waiting = resolve);
  }

  /** The code of the next error, which is one of a handshake. */
  async nextCode(): Promise<string> {
    const error = await this.next();
    assert(error instanceof TalkError, `${error}`);
    assertEquals(error.code, "handshake-failed");
    assert(error.cause instanceof TlsError, `${error.cause}`);
    return error.cause.code;
  }

  get isEmpty(): boolean {
    return this.#errors.length === 0;
  }
}

interface Server extends AsyncDisposable {
  readonly addr: string;
  readonly reports: Reports;
  /** What was known of the TLS of the last client. */
  readonly info: TlsInfo | undefined;
  readonly listener: Listener<Peer>;
}

/** Listens; every call returns its argument. */
async function serve(
  options: Partial<TlsListenOptions> | (() => TlsListenOptions) = {},
  address = "tls://127.0.0.1:0",
): Promise<Server> {
  const reports = new Reports();
  let info: TlsInfo | undefined;
  const listener = await listen(address, {
    tls: typeof options === "function"
      ? options
      : { cert: server.cert, key: server.key, ...options },
    onPeer: (_peer, { tls }) => void (info = tls),
    handler: handlerFrom({ echo: (value: unknown) => value }),
    onError: reports.add,
  });
  return {
    addr: listener.addr,
    reports,
    listener: listener as Listener<Peer>,
    get info() {
      return info;
    },
    [Symbol.asyncDispose]: () => listener.close(),
  };
}

/** The error of dialing, which is one of TLS. */
async function dialError(
  addr: string,
  tls?: TlsDialOptions,
): Promise<TlsError> {
  const error = await assertRejects(() => dial(addr, { tls }), TalkError);
  assertEquals(error.code, "dial-failed");
  assert(error.cause instanceof TlsError, `${error.cause}`);
  assertEquals(error.permanent, true);
  // A peer that reconnects gives up at once.
  const again = await assertRejects(() => dial(addr, { tls, reconnect: {} }));
  assertEquals((again as TalkError).code, "dial-failed");
  return error.cause;
}

for (const scheme of ["tls", "wss"]) {
  Deno.test(`TLS: ${scheme}: carries calls, and tells the server of the client's certificate`, async () => {
    await using there = await serve(
      { ca: ca.cert, clientCert: "required" },
      `${scheme}://127.0.0.1:0`,
    );
    assert(there.addr.startsWith(`${scheme}://127.0.0.1:`), there.addr);
    await using peer = await dial(there.addr, { tls: { ca: ca.cert, ...ann } });
    const text = "x".repeat(1_000_000);
    assertEquals(await peer.call("echo", [text]), text);
    const { info } = there;
    assertEquals(info?.version, "TLSv1.3");
    assertEquals(info?.alpnProtocol, scheme === "tls" ? "qtalk" : "http/1.1");
    const { subject, names, fingerprint, validTo } = info!.peerCertificate!;
    assertEquals(subject.split(", ").sort(), ["CN=Ann", "O=Example"]);
    assertEquals(names, ["DNS:ann.test"]);
    assertEquals(
      fingerprint,
      `sha256:${ann.fingerprint.replaceAll(":", "").toLowerCase()}`,
    );
    assert(validTo > new Date(), `${validTo}`);
    await peer.close();
    assert(there.reports.isEmpty);
  });
}

Deno.test("TLS: a comma in the name of a client makes no second name", async () => {
  // One name, not that of Eve in an organization.
  const eve = await ca.issue(String.raw`CN=Eve\, O=Example, O=a\\b`);
  await using there = await serve({ ca: ca.cert, clientCert: "required" });
  await using peer = await dial(there.addr, { tls: { ca: ca.cert, ...eve } });
  await peer.call("echo", [1]);
  const { subject } = there.info!.peerCertificate!;
  const parts = subject.split(/(?<!\\), /).sort();
  assertEquals(parts, [String.raw`CN=Eve\, O=Example`, String.raw`O=a\\b`]);
});

Deno.test("TLS: certificates and keys may be in files", async () => {
  const directory = await Deno.makeTempDir();
  const write = async (name: string, text: string) => {
    await Deno.writeTextFile(`${directory}/${name}`, text);
    return `${directory}/${name}`;
  };
  await using there = await serve({
    cert: await write("cert.pem", server.cert),
    key: new URL(`file://${await write("key.pem", server.key)}`),
  });
  const file = await write("ca.pem", ca.cert);
  await using peer = await dial(there.addr, { tls: { ca: [file] } });
  assertEquals(await peer.call("echo", [1]), 1);
  const missing = { ca: `${directory}/missing` };
  const error = await assertRejects(
    () => dial(there.addr, { tls: missing }),
    TalkError,
    'option "tls.ca"',
  );
  assertEquals(error.permanent, true);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("TLS: a client refuses the certificate of a server for what is wrong with it", async () => {
  const expired = await ca.issue("CN=server", { names, from: -3, until: -2 });
  const early = await ca.issue("CN=server", { names, from: 2, until: 3 });
  const foreign = await stranger.issue("CN=server", { names });
  const cases: [TlsDialOptions, Partial<TlsListenOptions>, string][] = [
    [{ ca: ca.cert, serverName: "example.com" }, server, "wrong-name"],
    [{ ca: ca.cert }, ann, "wrong-name"],
    [{ ca: ca.cert }, expired, "expired"],
    [{ ca: ca.cert }, early, "not-yet-valid"],
    [{ ca: ca.cert }, foreign, "unknown-issuer"],
    [{}, server, "unknown-issuer"],
    [{ pin: ann.fingerprint }, server, "wrong-fingerprint"],
  ];
  for (const scheme of ["tls", "wss"]) {
    for (const [client, { cert, key }, code] of cases) {
      const options = { cert: cert!, key: key! };
      await using there = await serve(options, `${scheme}://127.0.0.1:0`);
      const error = await dialError(there.addr, client);
      assertEquals(error.code, code);
      if (code === "expired") {
        const message = /^the certificate expired on 20\d\d-\d\d-\d\dT/;
        assert(message.test(error.message), error.message);
      }
    }
  }
});

Deno.test("TLS: a server names the time of a client certificate that is not valid at this time", async () => {
  const old = await ca.issue("CN=old", { from: -3, until: -2 });
  const early = await ca.issue("CN=early", { from: 2, until: 3 });
  for (
    const [client, text] of [
      [old, "the client certificate expired on 20"],
      [early, "the client certificate is not valid before 20"],
    ] as const
  ) {
    await using there = await serve({ clientCert: "required", ca: ca.cert });
    const peer = await dial(there.addr, { tls: { ca: ca.cert, ...client } });
    const error = await assertRejects(() => peer.closed, MuxError);
    assertEquals((error.cause as TlsError).code, "wrong-client-certificate");
    const report = await there.reports.next() as TalkError;
    assertEquals((report.cause as TlsError).code, "wrong-client-certificate");
    assert(report.message.includes(text), report.message);
  }
});

Deno.test("TLS: a client that refuses the certificate of a server is no error there", async () => {
  const reports = new Reports();
  const met = Promise.withResolvers<Peer>();
  await using listener = await listen("tls://127.0.0.1:0", {
    tls: server,
    onPeer: (peer) => met.resolve(peer),
    onError: reports.add,
  });
  const tls = { pin: ann.fingerprint };
  await assertRejects(() => dial(listener.addr, { tls }), TalkError);
  const peer = await within(met.promise, "the peer");
  await within(peer.closed, "its end");
  assert(reports.isEmpty);
});

Deno.test("TLS: a server that demands certificates reports a client that refuses its own only if that client has none", async () => {
  await using there = await serve({ clientCert: "required", ca: ca.cert });
  // On every runtime, a client looks at the certificate after the handshake. By
  // then, the server knows whether the client has one.
  const { cert, key } = ann;
  assertEquals(
    (await dialError(there.addr, { cert, key })).code,
    "unknown-issuer",
  );
  assertEquals((await dialError(there.addr, {})).code, "unknown-issuer");
  // dialError() dials twice.
  assertEquals(await there.reports.nextCode(), "no-client-certificate");
  assertEquals(await there.reports.nextCode(), "no-client-certificate");
  assert(there.reports.isEmpty);
});

Deno.test("TLS: an authority that another one has certified can be trusted by itself", async () => {
  const between = await ca.issueAuthority("between");
  const { cert, key } = await between.issue("CN=server", { names });
  await using there = await serve({ cert, key });
  await using peer = await dial(there.addr, { tls: { ca: between.cert } });
  assertEquals(await peer.call("echo", [1]), 1);
  // Its certificate has to be sent if only the other one is known.
  await using chain = await serve({ cert: `${cert}\n${between.cert}`, key });
  await using other = await dial(chain.addr, { tls: { ca: ca.cert } });
  assertEquals(await other.call("echo", [2]), 2);
  const error = await dialError(there.addr, { ca: ca.cert });
  assertEquals(error.code, "unknown-issuer");
});

Deno.test("TLS: the name of the server may be another than that of its address", async () => {
  const named = await ca.issue("CN=server", { names: ["example.com"] });
  await using there = await serve(named);
  await using peer = await dial(there.addr, {
    tls: { ca: ca.cert, serverName: "example.com" },
  });
  assertEquals(await peer.call("echo", [1]), 1);
});

Deno.test("TLS: the name of a server is sent and checked in its form of ASCII", async () => {
  const ascii = "xn--bcher-kva.example";
  const { cert, key } = await ca.issue("CN=server", { names: [ascii] });
  const { createServer } = await import("node:tls");
  const sent: unknown[] = [];
  const other = createServer({ cert, key });
  other.on("secureConnection", (socket) => {
    sent.push((socket as { servername?: unknown }).servername);
    socket.on("error", () => {});
    socket.resume();
  });
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as { port: number };
  const tls = { ca: ca.cert };
  for (const serverName of ["bücher.example", "BÜCHER.example.", ascii]) {
    const peer = await dial(`tls://127.0.0.1:${port}`, {
      tls: { ...tls, serverName },
    });
    await peer.close();
  }
  assertEquals(sent, [ascii, ascii, ascii]);
  await new Promise((resolve) => other.close(resolve));
  await using there = await serve({ cert, key });
  await using peer = await dial(there.addr, {
    tls: { ...tls, serverName: "bücher.example" },
  });
  assertEquals(await peer.call("echo", [1]), 1);
});

Deno.test("TLS: a fingerprint is trust enough, and the error of an unknown issuer tells it", async () => {
  const expired = await stranger.issue("CN=x", { from: -3, until: -2 });
  await using there = await serve(expired);
  const { message } = await dialError(there.addr, { pin: "0".repeat(64) });
  const pin = /sha256:[0-9a-f]{64}/.exec(message)![0];
  for (const trusted of [pin, expired.fingerprint, [pin]]) {
    await using peer = await dial(there.addr, { tls: { pin: trusted } });
    assertEquals(await peer.call("echo", [1]), 1);
  }
  await using known = await serve();
  const error = await dialError(known.addr, {});
  assert(/sha256:[0-9a-f]{64}/.test(error.message), error.message);
});

Deno.test("TLS: a client without the certificate that a server wants learns why, and so does the server", async () => {
  const cases: [TlsDialOptions, Partial<TlsListenOptions>, string][] = [
    [{}, { clientCert: "required", ca: ca.cert }, "no-client-certificate"],
    [eve, { clientCert: "required", ca: ca.cert }, "wrong-client-certificate"],
    [eve, { clientCert: "optional", ca: ca.cert }, "wrong-client-certificate"],
    [
      ann,
      { clientCert: "required", pin: eve.fingerprint },
      "wrong-client-certificate",
    ],
  ];
  for (const [client, options, code] of cases) {
    await using web = await serve(options, "wss://127.0.0.1:0");
    const refusal = await dialError(web.addr, { ca: ca.cert, ...client });
    assertEquals(refusal.code, code);
    assertEquals(await web.reports.nextCode(), code);

    await using there = await serve(options);
    const tls = { ca: ca.cert, ...client };
    const peer = await dial(there.addr, { tls });
    const error = await assertRejects(() => peer.closed, MuxError);
    assert(error.cause instanceof TlsError, `${error.cause}`);
    assertEquals(error.cause.code, code);
    assertEquals(error.message, `Connection is lost: ${error.cause.message}`);
    assertEquals(await there.reports.nextCode(), code);
    // A peer that reconnects gives up.
    const states: string[] = [];
    const failing = await dial(there.addr, {
      tls,
      reconnect: { onState: ({ name }) => states.push(name) },
    }).then((peer) => peer.closed.catch((error) => error), (error) => error);
    assert(failing instanceof MuxError, `${failing}`);
    assertEquals(states.at(-1), "closed");
    assert(!states.includes("waiting"), states.join());
    assertEquals(await there.reports.nextCode(), code);
  }
});

Deno.test("TLS: a server that wishes for certificates accepts clients without one, and those that it trusts", async () => {
  await using there = await serve({
    clientCert: "optional",
    ca: ca.cert,
    pin: eve.fingerprint,
  });
  for (
    const [client, subject] of [[{}, undefined], [ann, "CN=Ann"], [
      eve,
      "CN=Eve",
    ]] as const
  ) {
    await using peer = await dial(there.addr, {
      tls: { ca: ca.cert, ...client },
    });
    assertEquals(await peer.call("echo", [1]), 1);
    const certificate = there.info?.peerCertificate;
    assertEquals(
      certificate?.subject.split(", ").find((part) => part.startsWith("CN=")),
      subject,
    );
  }
});

Deno.test("TLS: text to a server is reported, and the client hears of an error", async () => {
  await using there = await serve();
  const plain = await dial(there.addr.replace("tls:", "tcp:"));
  const failure = await plain.call("echo", [1]).then(
    () => "",
    (error) => error,
  );
  assert(failure instanceof MuxError, `${failure}`);
  assertEquals(await there.reports.nextCode(), "not-tls");
  await plain.close();
});

Deno.test("TLS: a server without TLS is no server for it, and says why its session ended", async () => {
  const reports = new Reports();
  await using listener = await listen("tcp://127.0.0.1:0", {
    onError: reports.add,
  });
  const addr = listener.addr.replace("tcp:", "tls:");
  assertEquals((await dialError(addr, {})).code, "not-tls");
  const error = await reports.next();
  assert(error instanceof MuxError, `${error}`);
  assertEquals(error.code, "protocol-error");
  assert(error.message.includes("TLS"), error.message);
});

/** What servers answer that do not speak TLS. */
const ANSWERS: Record<string, Uint8Array> = {
  "HTTP": utf8("HTTP/1.1 400 Bad Request\r\n\r\n"),
  "SMTP": utf8("220 mail.test\r\n"),
  "a text that is shorter than a record of TLS": utf8("hi\n"),
  "zeros": new Uint8Array(40),
  "a frame of qmux": Uint8Array.of(101, 0, 0, 0, 0, 0, 1, 0, 0),
  "a record of bytes": Uint8Array.of(23, 3, 3, 0, 3, 1, 2, 3),
  "a record of no version": Uint8Array.of(22, 9, 9, 0, 2, 2, 0),
  "a record between messages": Uint8Array.of(20, 3, 3, 0, 1, 1),
  "an empty record": Uint8Array.of(22, 3, 3, 0, 0),
};

for (const [what, answer] of Object.entries(ANSWERS)) {
  Deno.test(`TLS: a server that answers ${what} does not speak it`, async () => {
    using server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      for (let client = 0; client < 4; client++) {
        const conn = await server.accept();
        await conn.read(new Uint8Array(4_096));
        await conn.write(answer);
        // Until the client has gone.
        while (await conn.read(new Uint8Array(4_096)).catch(() => null));
        conn.close();
      }
    })();
    const { port } = server.addr;
    for (const scheme of ["tls", "wss"]) {
      const error = await dialError(`${scheme}://127.0.0.1:${port}`);
      assertEquals(error.code, "not-tls");
    }
    await serving;
  });
}

Deno.test("TLS: a server of another protocol is refused by ALPN, and one of none is accepted", async () => {
  const { createServer } = await import("node:tls");
  for (
    const [ALPNProtocols, code] of [[["h2"], "wrong-protocol"], [
      [],
      "",
    ]] as const
  ) {
    const { cert, key } = server;
    const other = createServer({
      cert,
      key,
      ...(code !== "" && { ALPNProtocols: [...ALPNProtocols] }),
    });
    other.on("tlsClientError", () => {});
    other.on("secureConnection", (socket) => {
      socket.on("error", () => {});
      socket.resume();
    });
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    const addr = `tls://127.0.0.1:${port}`;
    if (code !== "") {
      assertEquals((await dialError(addr, { ca: ca.cert })).code, code);
    } else {
      const peer = await dial(addr, { tls: { ca: ca.cert } });
      await peer.close();
    }
    await new Promise((resolve) => other.close(resolve));
  }
});

Deno.test("TLS: a client of another protocol is refused by ALPN, and one of none is accepted", async () => {
  const { connect } = await import("node:tls");
  await using there = await serve();
  const port = Number(there.addr.split(":").at(-1));
  for (const ALPNProtocols of [["h2"], undefined]) {
    const socket = connect({
      host: "127.0.0.1",
      port,
      ca: ca.cert,
      ...(ALPNProtocols && { ALPNProtocols }),
    });
    const closed = new Promise((resolve) => socket.on("close", resolve));
    const done = Promise.withResolvers<string>();
    socket.on("secureConnect", () => done.resolve("accepted"));
    socket.on("error", () => done.resolve("refused"));
    assertEquals(await done.promise, ALPNProtocols ? "refused" : "accepted");
    socket.destroy();
    await closed;
  }
  assertEquals(await there.reports.nextCode(), "wrong-protocol");
});

/** The error with which a reconnecting peer gives up, and its states. */
async function lastError(
  addr: string,
  tls?: TlsDialOptions,
): Promise<{ error: unknown; states: string[] }> {
  const states: string[] = [];
  const onState = ({ name }: { name: string }) => void states.push(name);
  const error = await dial(addr, {
    ...tls && { tls },
    reconnect: { onState, minDelay: 1, maxAttempts: 5 },
  }).then((peer) => {
    peer.call("echo", [1]).catch(() => {});
    return peer.closed;
  }).catch((error: unknown) => error);
  return { error, states };
}

for (const scheme of ["tls", "wss"]) {
  for (const client of ["tcp", "ws"]) {
    Deno.test(`TLS: a client of ${client}: learns from a listener of ${scheme}: what it has dialed, and gives up`, async () => {
      await using there = await serve({}, `${scheme}://127.0.0.1:0`);
      const addr = there.addr.replace(`${scheme}:`, `${client}:`);
      const { error, states } = await lastError(addr);
      assert(error instanceof Error, `${error}`);
      assert(error.message.includes("looks like TLS"), `${error}`);
      assert(error.cause instanceof TlsError, `${error.cause}`);
      assertEquals(error.cause.code, "unexpected-tls");
      assertEquals(states.filter((name) => name === "connecting").length, 1);
      assertEquals(await there.reports.nextCode(), "not-tls");
    });
  }

  const other = scheme === "tls" ? "wss" : "tls";
  Deno.test(`TLS: a client of ${other}: is refused by ALPN at a listener of ${scheme}:, and gives up`, async () => {
    await using there = await serve({}, `${scheme}://127.0.0.1:0`);
    const addr = there.addr.replace(`${scheme}:`, `${other}:`);
    const { error, states } = await lastError(addr, { ca: ca.cert });
    assert(error instanceof TalkError, `${error}`);
    assertEquals((error.cause as TlsError).code, "wrong-protocol");
    assertEquals(states, ["connecting", "closed"]);
    assertEquals(await there.reports.nextCode(), "wrong-protocol");
  });
}

for (const scheme of ["tcp", "ws"]) {
  for (const client of ["tls", "wss"]) {
    Deno.test(`TLS: a client of ${client}: at a listener of ${scheme}: learns that it does not speak TLS and gives up, and the listener reports it`, async () => {
      const reports = new Reports();
      await using listener = await listen(`${scheme}://127.0.0.1:0`, {
        onError: reports.add,
      });
      const addr = listener.addr.replace(`${scheme}:`, `${client}:`);
      for (const tls of [{ ca: ca.cert }, undefined]) {
        const { error, states } = await lastError(addr, tls);
        assert(error instanceof TalkError, `${error}`);
        assertEquals((error.cause as TlsError).code, "not-tls");
        assertEquals(states, ["connecting", "closed"]);
        const report = await reports.next();
        assert(report instanceof Error, `${report}`);
        assert(report.message.includes("looks like TLS"), report.message);
        assert(report.cause instanceof TlsError, `${report.cause}`);
        assertEquals(report.cause.code, "unexpected-tls");
      }
      assert(reports.isEmpty);
    });
  }
}

/** A ClientHello of TLS 1.2 in its record, with other bytes at some places. */
function hello(changed: Record<number, number> = {}): Uint8Array {
  const body = [3, 3, ...new Uint8Array(32), 0, 0, 2, 0x13, 1, 1, 0];
  const message = [1, 0, 0, body.length, ...body];
  return Object.assign(
    Uint8Array.of(22, 3, 1, 0, message.length, ...message),
    changed,
  );
}

/** What clients begin with that do not speak TLS, and how they are reported. */
const BEGINNINGS: Record<string, [string | Uint8Array, code?: string]> = {
  "an HTTP request": ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "not-tls"],
  "a request to an HTTP proxy": ["CONNECT a:1 HTTP/1.1\r\n\r\n", "not-tls"],
  "the preface of HTTP/2": ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not-tls"],
  "SSH": ["SSH-2.0-OpenSSH_9.6\r\n", "not-tls"],
  "a text": ["hello, is anyone there?\r\n", "not-tls"],
  "a text that is shorter than a record of TLS": ["hi\n", "not-tls"],
  "random bytes": [Uint8Array.of(0x9c, 0x1f, 0x44, 0xd0, 0x88, 7), "not-tls"],
  "zeros": [new Uint8Array(40), "not-tls"],
  "a hello of SSL 2.0": [Uint8Array.of(0x80, 46, 1, 3, 1, 0, 21), "not-tls"],
  "a frame of qmux": [Uint8Array.of(100, 0, 0, 0, 0, 0, 1, 0, 0), "not-tls"],
  "an alert": [Uint8Array.of(21, 3, 1, 0, 2, 2, 40), "not-tls"],
  "the end of TLS": [Uint8Array.of(21, 3, 1, 0, 2, 1, 0), "not-tls"],
  "a record of bytes": [Uint8Array.of(23, 3, 3, 0, 2, 1, 2), "not-tls"],
  "a record of no version": [hello({ 1: 9 }), "not-tls"],
  "an empty record": [Uint8Array.of(22, 3, 1, 0, 0), "not-tls"],
  "the hello of a server": [hello({ 5: 2 }), "not-tls"],
  "nothing": [""],
  "a hello that is cut in its record's head": [hello().subarray(0, 3)],
  "a hello that is cut": [hello().subarray(0, 20)],
  "a hello whose message is longer than its record": [hello({ 8: 99 })],
  "a hello that ends after its version": [
    Uint8Array.of(22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3),
    "handshake-failed",
  ],
  "a hello of nothing": [
    Uint8Array.of(22, 3, 1, 0, 4, 1, 0, 0, 0),
    "handshake-failed",
  ],
  "a hello longer than may be": [hello({ 6: 0xff }), "handshake-failed"],
  "a record longer than may be": [hello({ 3: 0xff }), "handshake-failed"],
  "a hello with a session longer than it": [
    hello({ 43: 99 }),
    "handshake-failed",
  ],
  "a hello with an odd list of ciphers": [hello({ 45: 3 }), "handshake-failed"],
};

Deno.test("TLS: how a listener reports a client whose first message is malformed", async (t) => {
  await using there = await serve();
  const port = Number(there.addr.split(":").at(-1));
  for (const [what, [first, code]] of Object.entries(BEGINNINGS)) {
    await t.step(`${what}: ${code ?? "not at all"}`, async () => {
      using conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(typeof first === "string" ? utf8(first) : first);
      // One that is cut ends, and the others wait for the end.
      if (code === undefined) await conn.closeWrite();
      else assertEquals(await there.reports.nextCode(), code);
      // What else it sends gets no further answer.
      if (code === "not-tls") await conn.write(utf8("and more"));
      const answer = new Uint8Array(16);
      const size = await conn.read(answer);
      if (code === undefined) return assertEquals(size, null);
      assertEquals([size, answer[0], answer[5]], [7, 21, 2]);
      if (code === "not-tls") assertEquals(answer[6], 10);
      assertEquals(await conn.read(answer), null);
    });
  }
  assert(there.reports.isEmpty);
});

Deno.test("TLS: an older version than the least one is refused", async () => {
  await using there = await serve({ minVersion: "TLSv1.3" });
  const { connect } = await import("node:tls");
  const port = Number(there.addr.split(":").at(-1));
  const socket = connect({
    host: "127.0.0.1",
    port,
    ca: ca.cert,
    maxVersion: "TLSv1.2",
  });
  const failed = new Promise((resolve) => socket.on("error", resolve));
  await failed;
  assertEquals(await there.reports.nextCode(), "wrong-version");
});

/** The first message of a client of TLS 1.1: no extensions, one cipher. */
function hello11(): Uint8Array {
  const hello = [3, 2, ...new Uint8Array(32), 0, 0, 2, 0, 0x2f, 1, 0];
  const message = [1, 0, 0, hello.length, ...hello];
  return Uint8Array.of(22, 3, 1, 0, message.length, ...message);
}

Deno.test("TLS: a client whose versions are all too old is reported as one, and gets an alert", async () => {
  await using there = await serve();
  const port = Number(there.addr.split(":").at(-1));
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(hello11());
  const alert = new Uint8Array(16);
  assertEquals(await conn.read(alert), 7);
  assertEquals([alert[0], alert[5]], [21, 2]);
  assertEquals(await there.reports.nextCode(), "wrong-version");
});

Deno.test("TLS: a connection that is cut is an error on both sides, where one that ends is none", async () => {
  await using there = await serve();
  const port = Number(there.addr.split(":").at(-1));
  using proxy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const cut = Promise.withResolvers<void>();
  const proxied = (async () => {
    const near = await proxy.accept();
    const far = await Deno.connect({ hostname: "127.0.0.1", port });
    const done = Promise.allSettled([
      near.readable.pipeTo(far.writable, { preventClose: true }),
      far.readable.pipeTo(near.writable, { preventClose: true }),
    ]);
    await cut.promise;
    await Promise.all([near.closeWrite(), far.closeWrite()]);
    await done;
    for (const conn of [near, far]) {
      try {
        conn.close();
      } catch {
        // Its streams have closed it.
      }
    }
  })();
  const { port: proxyPort } = proxy.addr;
  const peer = await dial(`tls://127.0.0.1:${proxyPort}`, {
    tls: { ca: ca.cert },
  });
  assertEquals(await peer.call("echo", [1]), 1);
  cut.resolve();
  const error = await assertRejects(() => peer.closed, MuxError);
  assertEquals(error.code, "connection-lost");
  assertEquals((error.cause as TlsError).code, "truncated");
  const report = await there.reports.next() as MuxError;
  assertEquals((report.cause as TlsError).code, "truncated");
  await proxied;
});

Deno.test("TLS: a listener that closes ends its peers without an error", async () => {
  const there = await serve();
  const peer = await dial(there.addr, { tls: { ca: ca.cert } });
  assertEquals(await peer.call("echo", [1]), 1);
  await there.listener.close();
  await peer.closed;
  assert(there.reports.isEmpty);
});

test("TLS: a client that ends in the handshake is gone at once, and no error", async () => {
  for (const scheme of ["tls", "wss"]) {
    await using there = await serve({}, `${scheme}://127.0.0.1:0`);
    const hostname = "127.0.0.1";
    const port = Number(new URL(there.addr).port);
    // Nothing, and the beginning of a message that says to be of 512 bytes.
    for (const sent of [[], [0x16, 3, 1, 2, 0, 1, 0]]) {
      using conn = await Deno.connect({ hostname, port });
      if (sent.length > 0) await conn.write(Uint8Array.from(sent));
      await conn.closeWrite();
      const end = conn.read(new Uint8Array(16));
      assertEquals(await within(end, "the listener to close"), null);
    }
    assert(there.reports.isEmpty);
  }
});

Deno.test("TLS: a handshake has handshakeTimeout", async () => {
  const reports = new Reports();
  await using listener = await listen("tls://127.0.0.1:0", {
    tls: server,
    handshakeTimeout: 50,
    onError: reports.add,
  });
  const port = Number(listener.addr.split(":").at(-1));
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const error = await reports.next();
  assert(error instanceof TalkError && error.code === "timeout", `${error}`);
  assertEquals(await conn.read(new Uint8Array(1)).catch(() => null), null);
});

Deno.test("TLS: dialing a server that says nothing ends with the signal", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const controller = new AbortController();
  const reason = new Error("enough");
  const { port } = silent.addr;
  const dialing = dial(`tls://127.0.0.1:${port}`, {
    signal: controller.signal,
  });
  const conn = await silent.accept();
  controller.abort(reason);
  assertEquals(await dialing.catch((error) => error), reason);
  conn.close();
});

Deno.test("TLS: options that are missing or not valid are errors of listen() and dial()", async () => {
  const { cert, key } = server;
  const bad: [unknown, string][] = [
    [undefined, '"tls.cert" and "tls.key"'],
    [{ cert, key: ann.key }, '"tls.key" does not belong to "tls.cert"'],
    [
      { cert: "-----BEGIN CERTIFICATE-----", key },
      '"tls.cert" has no certificate in PEM',
    ],
    [{ cert: key, key }, '"tls.cert" has no certificate in PEM'],
    [{ cert, key: cert }, '"tls.key" has no private key in PEM'],
    [{ cert: pem("CERTIFICATE", "AAAA"), key }, '"tls.cert" is not valid: '],
    [{ cert, key: pem("PRIVATE KEY", "AAAA") }, '"tls.key" is not valid: '],
    [
      { cert, key: pem("ENCRYPTED PRIVATE KEY", "AAAA") },
      "is an encrypted key",
    ],
    [
      { cert, key: pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\nAAAA") },
      "is an encrypted key",
    ],
    // Node would read from an open file, and quote the key as the path of one.
    [{ cert: 5, key }, '"tls.cert" is neither PEM text nor'],
    [
      { cert, key: new TextEncoder().encode(key) },
      '"tls.key" is neither PEM text nor',
    ],
    [
      { cert, key, ca: pem("CERTIFICATE", "AAAA"), clientCert: "required" },
      '"tls.ca" is not valid: ',
    ],
    [{ cert, key, ca: [], clientCert: "required" }, '"tls.ca" or "tls.pin"'],
    [{ cert, key, ca: ca.cert }, 'without "tls.clientCert"'],
    [{ cert, key, pin: ann.fingerprint }, 'without "tls.clientCert"'],
    [{ cert, key, clientCert: "required" }, '"tls.ca" or "tls.pin"'],
    [{ cert, key, clientCert: "always" }, '"always"'],
    [{ cert, key, pin: "abc", clientCert: "required" }, '"tls.pin": "abc"'],
    [{ cert, key, pin: 5, clientCert: "required" }, '"tls.pin": "5"'],
    [{ cert: "/no/such/file", key }, 'option "tls.cert"'],
  ];
  for (const [tls, text] of bad) {
    const error = await assertRejects(
      () => listen("tls://127.0.0.1:0", { tls: tls as TlsListenOptions }),
      TalkError,
      text,
    );
    assertEquals(error.code, "listen-failed");
    assert(!error.message.includes(key.slice(30, 60)), error.message);
  }
  const badToDial: [TlsDialOptions, string][] = [
    [{ pin: "abc" }, '"tls.pin"'],
    [{ ca: "-----BEGIN NOTHING-----" }, '"tls.ca" has no certificate'],
    [{ ca: pem("CERTIFICATE", "AAAA") }, '"tls.ca" is not valid: '],
    [{ cert }, '"tls.cert" needs "tls.key"'],
    [{ key }, '"tls.key" needs "tls.cert"'],
    [{ serverName: "a b" }, '"tls.serverName": "a b" is not'],
    [{ serverName: "" }, '"tls.serverName": "" is not'],
    [{ serverName: "*.example.com" }, '"tls.serverName": "*.example.com"'],
    [{ serverName: "https://a.test" }, '"tls.serverName": "https://a.test"'],
    [{ serverName: "ann@a.test" }, '"tls.serverName": "ann@a.test" is not'],
    [{ serverName: "a.test:443" }, '"tls.serverName": "a.test:443" is not'],
    [{ serverName: "::1]:80/#" }, '"tls.serverName": "::1]:80/#" is not'],
    [{ serverName: 5 as unknown as string }, '"tls.serverName": "5" is not'],
  ];
  for (const [tls, text] of badToDial) {
    const error = await assertRejects(
      () => dial("tls://127.0.0.1:1", { tls }),
      TalkError,
      text,
    );
    assertEquals(error.permanent, true);
  }
});

Deno.test("TLS: what surrounds certificates and a key in PEM has no effect", async () => {
  const { cert, key } = server;
  const all = `\uFEFF# Both\r\n${
    `${cert}\nSubject: CN=text\n${key}`.replaceAll("\n", "\r\n")
  }the end`;
  await using there = await serve({ cert: all, key: all });
  const trusted = `${
    pem("CERTIFICATE", "AAAA")
  }text\n${stranger.cert}${ca.cert}`;
  await using peer = await dial(there.addr, { tls: { ca: trusted } });
  assertEquals(await peer.call("echo", [1]), 1);
});

Deno.test("TLS: the certificate of a server may be for an address of IPv6", async () => {
  const { cert, key } = await ca.issue("CN=server", { names: ["::1"] });
  await using there = await serve({ cert, key }, "tls://[::1]:0");
  for (const host of ["[::1]", "[0:0:0:0:0:0:0:1]"]) {
    const addr = there.addr.replace("[::1]", host);
    await using peer = await dial(addr, { tls: { ca: ca.cert } });
    assertEquals(await peer.call("echo", [1]), 1);
  }
  const error = await dialError(there.addr, {
    ca: ca.cert,
    serverName: "::2",
  });
  assertEquals(error.code, "wrong-name");
});

// --- Renewal -----------------------------------------------------------------

for (const scheme of ["tls", "wss"]) {
  Deno.test(`TLS: ${scheme}: a listener whose options are a function shows a renewed certificate to new clients`, async () => {
    const renewed = await ca.issue("CN=renewed", { names });
    let tls: TlsListenOptions = server;
    await using there = await serve(() => tls, `${scheme}://127.0.0.1:0`);
    const before = { tls: { pin: server.fingerprint } };
    await using first = await dial(there.addr, before);
    tls = renewed;
    await using second = await dial(there.addr, {
      tls: { pin: renewed.fingerprint },
    });
    assertEquals(await second.call("echo", [2]), 2);
    assertEquals(
      (await dialError(there.addr, before.tls)).code,
      "wrong-fingerprint",
    );
    assertEquals(await first.call("echo", [1]), 1);
    assert(there.reports.isEmpty);
  });
}

Deno.test("TLS: while a listener gets the same options, their files are not read again", async () => {
  await using made = await certificateFiles(server);
  let tls: TlsListenOptions = made.files;
  await using there = await serve(() => tls);
  const renewed = await ca.issue("CN=renewed", { names });
  await made.write(renewed);
  await using old = await dial(there.addr, {
    tls: { pin: server.fingerprint },
  });
  assertEquals(await old.call("echo", [1]), 1);
  tls = { ...made.files };
  const { fingerprint } = renewed;
  await using now = await dial(there.addr, { tls: { pin: fingerprint } });
  assertEquals(await now.call("echo", [2]), 2);
});

Deno.test("TLS: options of a listener that are not valid leave the earlier ones in use, and are reported once in a row", async () => {
  const renewed = await ca.issue("CN=renewed", { names });
  const broken = { cert: renewed.cert, key: server.key };
  let tls: TlsListenOptions = server;
  await using there = await serve(() => tls);
  const connect = async ({ fingerprint }: { fingerprint: string }) => {
    const peer = await dial(there.addr, { tls: { pin: fingerprint } });
    assertEquals(await peer.call("echo", [1]), 1);
    await peer.close();
  };
  tls = broken;
  await connect(server);
  await connect(server);
  const error = await there.reports.next();
  assert(error instanceof TalkError, `${error}`);
  assertEquals([error.code, error.permanent], ["listen-failed", false]);
  const text = 'TLS stays as it was: option "tls.key" does';
  assert(error.message.includes(text), error.message);
  assert(there.reports.isEmpty);
});

Deno.test("TLS: what a function of listen() throws later leaves the earlier options in use", async () => {
  let asked = 0;
  await using there = await serve(() => {
    if (asked++ > 0) throw new Error("no certificate today");
    return server;
  });
  await using peer = await dial(there.addr, {
    tls: { pin: server.fingerprint },
  });
  assertEquals(await peer.call("echo", [1]), 1);
  const error = await there.reports.next();
  assert(error instanceof TalkError, `${error}`);
  assertEquals([error.code, error.permanent], ["listen-failed", false]);
  assert(error.message.includes("it was: no certificate today"), `${error}`);
});

Deno.test("TLS: the clients that a listener trusts may change, and sessions that exist go on", async () => {
  const required = { ...server, clientCert: "required" } as const;
  let tls: TlsListenOptions = { ...required, ca: ca.cert };
  await using there = await serve(() => tls);
  const client = { tls: { ca: ca.cert, ...ann } };
  await using first = await dial(there.addr, client);
  assertEquals(await first.call("echo", [1]), 1);
  tls = { ...required, ca: stranger.cert };
  const second = await dial(there.addr, client);
  const error = await assertRejects(() => second.closed, MuxError);
  assertEquals((error.cause as TlsError).code, "wrong-client-certificate");
  assertEquals(await there.reports.nextCode(), "wrong-client-certificate");
  assertEquals(await first.call("echo", [1]), 1);
});

Deno.test("TLS: what a function of listen() throws at first is an error of listen()", async () => {
  const error = await assertRejects(
    () =>
      listen("tls://127.0.0.1:0", {
        tls() {
          throw new Error("no certificate");
        },
      }),
    TalkError,
    "no certificate",
  );
  assertEquals(error.code, "listen-failed");
});

/** Text in PEM. */
function pem(label: string, content: string): string {
  return `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----\n`;
}

// --- wss: where a runtime restricts connections ------------------------------

/** Runs tests/support/websocket_fallback.ts; resolves to the lines that it printed. */
async function fallenBack(address: string, how: string): Promise<string[]> {
  const url = (path: string) =>
    new URL(`../../tests/support/${path}`, import.meta.url);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-net",
      // On Windows a URL's path is /C:/…, and the file's is C:/…
      `--cert=${url("tls/ca.pem").pathname.replace(/^\/(?=\w:)/, "")}`,
      url("websocket_fallback.ts").href,
      address,
      how,
    ],
  }).output();
  const decoder = new TextDecoder();
  assertEquals(decoder.decode(stderr), "");
  return decoder.decode(stdout).trim().split("\n");
}

Deno.test("dial: wss: uses the runtime's WebSocket, once, where it refuses connections of its own with TLS", async () => {
  const file = (name: string) =>
    new URL(`../../tests/support/tls/${name}`, import.meta.url);
  await using listener = await listen("wss://localhost:0", {
    tls: { cert: file("cert.pem"), key: file("key.pem") },
    handler: handlerFrom({ echo: (value: unknown) => value }),
  });
  for (
    const [how, error] of [
      ["missing", "TypeError"],
      ["NotSupported", "NotSupported"],
      ["PermissionDenied", "PermissionDenied"],
    ] as const
  ) {
    assertEquals(await fallenBack(listener.addr, how), [
      "connecting",
      `connecting after ${error}`,
      "connected",
      "1",
      "closed",
    ]);
  }
  // A network or a server that fails is not the runtime's refusal.
  for (const how of ["ConnectionReset", "InvalidData"]) {
    assertEquals(await fallenBack(listener.addr, how), [
      "connecting",
      "closed",
      "dial-failed",
    ]);
  }
  assertEquals(await fallenBack(listener.addr, "none"), [
    "connecting",
    "connected",
    "1",
    "closed",
  ]);
});
