import { assertEquals } from "@std/assert";
import { listen, type Peer, type TlsListenOptions } from "@qtalk/qtalk";
import { makeAuthority } from "../../../tests/support/certificates.ts";

const ca = await makeAuthority("test authority");
const stranger = await makeAuthority("another authority");
const names = ["localhost"];
const server = await ca.issue("CN=server", { names });

/** Dials in a process that trusts `ca`: each code, and the number of attempts. */
async function codes(
  ...addresses: string[]
): Promise<[code: string, attempts: number][]> {
  const file = await Deno.makeTempFile({ suffix: ".pem" });
  try {
    await Deno.writeTextFile(file, ca.cert);
    const program = new URL(
      "../../../tests/support/dial_codes.ts",
      import.meta.url,
    );
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-net",
        `--cert=${file}`,
        program.href,
        ...addresses,
      ],
    }).output();
    const decoder = new TextDecoder();
    assertEquals(decoder.decode(stderr), "");
    return JSON.parse(decoder.decode(stdout));
  } finally {
    await Deno.remove(file);
  }
}

/** A server over TCP; disposed of, it has ended with its connections. */
function tcpServer(
  serve: (conn: Deno.TcpConn) => Promise<void>,
): { addr: string } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const conn of listener) {
      conns.push(serve(conn).catch(() => {}).finally(() => conn.close()));
    }
  })();
  return {
    addr: `wss://localhost:${listener.addr.port}`,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(conns);
    },
  };
}

/** A server that answers the first bytes of each connection with `bytes`. */
function answering(bytes: Uint8Array): ReturnType<typeof tcpServer> {
  return tcpServer(async (conn) => {
    const buffer = new Uint8Array(4_096);
    await conn.read(buffer);
    await conn.write(bytes);
    await conn.closeWrite();
    // To close a socket with unread bytes resets it, and the answer could be lost.
    while (await conn.read(buffer) !== null);
  });
}

/** An alert of TLS, by its number. */
function alert(number: number): Uint8Array {
  return Uint8Array.of(0x15, 3, 3, 0, 2, 2, number);
}

Deno.test("startTls: what is wrong with a server of wss: is a TlsError, and is not tried again", async () => {
  const cases: [Partial<TlsListenOptions>, string, string?, string?][] = [
    [{}, "wrong-name", "127.0.0.1"],
    [
      await ca.issue("CN=server", { names, from: -3, until: -2 }),
      "expired",
    ],
    [
      await ca.issue("CN=server", { names, from: 2, until: 3 }),
      "not-yet-valid",
    ],
    [await stranger.issue("CN=server", { names }), "unknown-issuer"],
    [{ ca: ca.cert, clientCert: "required" }, "no-client-certificate"],
    [{}, "wrong-protocol", "localhost", "tls"],
  ];
  await using listeners = new AsyncDisposableStack();
  const addresses: string[] = [];
  for (const [tls, , host = "localhost", scheme = "wss"] of cases) {
    const { cert, key } = server;
    const listener = await listen(`${scheme}://127.0.0.1:0`, {
      tls: { cert, key, ...tls },
      handler() {},
      onError() {},
    });
    listeners.use(listener);
    addresses.push(
      `wss://${host}:${/:(\d+)/.exec(listener.addr.slice(6))![1]}`,
    );
  }
  for (
    const [bytes, code] of [
      [new TextEncoder().encode("hello\r\n"), "not-tls"],
      // OpenSSL sends this for a missing certificate in TLS 1.2.
      [alert(40), "handshake-failed"],
      [alert(42), "no-client-certificate"],
      [alert(70), "wrong-version"],
      [alert(116), "no-client-certificate"],
      [alert(120), "wrong-protocol"],
    ] as const
  ) {
    addresses.push(listeners.use(answering(bytes)).addr);
    cases.push([{}, code]);
  }
  const expected = cases.map(([, code]) => [code, 1]);
  assertEquals(await codes(...addresses), expected);
});

Deno.test("startTls: at a client of wss:, a connection that was cut is an error, and one that has ended is none", async () => {
  for (const [how, code] of [["cut", "truncated"], ["end", "ended"]] as const) {
    const cut = Promise.withResolvers<void>();
    await using listener = await listen("wss://127.0.0.1:0", {
      tls: { cert: server.cert, key: server.key },
      handler(call) {
        if (how === "cut") return cut.resolve();
        return void (call.peer as Peer).close();
      },
      onError() {},
    });
    const port = Number(/:(\d+)/.exec(listener.addr.slice(6))![1]);
    await using front = frontOf(port, cut.promise);
    assertEquals(await codes(front.addr), [[code, 1]]);
  }
});

/** Passes bytes on to a port, until `cut`: then it ends the connections by TCP. */
function frontOf(
  port: number,
  cut: Promise<void>,
): ReturnType<typeof tcpServer> {
  return tcpServer(async (near) => {
    using far = await Deno.connect({ hostname: "127.0.0.1", port });
    cut.then(() => near.closeWrite()).catch(() => {});
    await Promise.all([pass(near, far), pass(far, near)]);
  });
}

/** Passes the bytes of one direction on, and its end. */
async function pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(16_384);
  try {
    for (;;) {
      const length = await from.read(buffer);
      if (length === null) break;
      await to.write(buffer.subarray(0, length));
    }
    await to.closeWrite();
  } catch {
    // One of them is gone: nothing more can be passed on.
  }
}
