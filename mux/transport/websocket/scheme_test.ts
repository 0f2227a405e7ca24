import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { testTransport } from "../../../tests/conformance/transport_suite.ts";
import { until, watch } from "../../../tests/support/within.ts";
import { TlsError } from "../../errors.ts";
import type { Scheme } from "../types.ts";
import { dialNative, webSocketScheme } from "./scheme.ts";

const ws = webSocketScheme("ws");
const wss = webSocketScheme("wss");
const { signal } = new AbortController();

/** The part of an address after the scheme. */
function rest(addr: string): string {
  return addr.slice(addr.indexOf(":") + 1);
}

const pem = (name: string) =>
  new URL(`../../../tests/support/tls/${name}.pem`, import.meta.url);

async function pair(scheme: Scheme = ws) {
  const isSecure = scheme === wss;
  const listener = await scheme.listen("//127.0.0.1:0/a/path", {
    ...isSecure && { tls: { cert: pem("cert"), key: pem("key") } },
  });
  const [client, accepted] = await Promise.all([
    scheme.connect(rest(listener.addr), signal, {
      // In Deno, a dialer with options of TLS takes another way.
      ...isSecure && { tls: { ca: pem("ca") } },
    }),
    listener.accept(),
  ]);
  return { client, server: accepted!.transport, listener };
}

const NO_HALF_CLOSE = {
  "the end of one direction leaves the other open":
    "CLOSE of a WebSocket ends both directions",
};
testTransport("webSocketScheme, client", async () => {
  const { client, server, listener } = await pair();
  return { a: client, b: server, close: () => listener.close() };
}, NO_HALF_CLOSE);

testTransport("webSocketScheme, server", async () => {
  const { client, server, listener } = await pair();
  return { a: server, b: client, close: () => listener.close() };
}, NO_HALF_CLOSE);

testTransport("webSocketScheme, wss: client", async () => {
  const { client, server, listener } = await pair(wss);
  return { a: client, b: server, close: () => listener.close() };
}, NO_HALF_CLOSE);

testTransport("webSocketScheme, wss: server", async () => {
  const { client, server, listener } = await pair(wss);
  return { a: server, b: client, close: () => listener.close() };
}, NO_HALF_CLOSE);

Deno.test("webSocketScheme: the address of a listener has the assigned port and the path", async () => {
  const listener = await ws.listen("//127.0.0.1:0/a/path");
  const { addr } = listener;
  listener.close();
  const port = Number(/^ws:\/\/127\.0\.0\.1:(\d+)\/a\/path$/.exec(addr)?.[1]);
  assert(port > 0, addr);
  return listener.accept().then((accepted) => assertEquals(accepted, null));
});

Deno.test("webSocketScheme: an address of the wrong form is a SyntaxError", async () => {
  for (
    const wrong of [
      "",
      "/path",
      "//",
      "//host:70000",
      "//u:p@host/",
      "//ho st/",
    ]
  ) {
    await assertRejects(
      () => ws.connect(wrong, signal),
      SyntaxError,
      "expected ws://host[:port]/path",
    );
    assertThrows(() => ws.listen(wrong), SyntaxError);
  }
  assertThrows(
    () => wss.listen("//localhost:0/"),
    SyntaxError,
    "serveWebSocket()",
  );
});

// --- Dialing -----------------------------------------------------------------

/** Runs `use` and records what is done to every connection. */
async function observed(
  use: () => Promise<void>,
): Promise<{ noDelay: unknown[]; writes: number[] }> {
  const seen = { noDelay: [] as unknown[], writes: [] as number[] };
  const { connect } = Deno;
  Deno.connect = (async (options: Deno.ConnectOptions) => {
    const conn = await connect(options);
    const { setNoDelay, write } = conn;
    conn.setNoDelay = (noDelay) => {
      seen.noDelay.push(noDelay);
      setNoDelay.call(conn, noDelay);
    };
    conn.write = (bytes) => {
      seen.writes.push(bytes.length);
      return write.call(conn, bytes);
    };
    return conn;
  }) as typeof Deno.connect;
  try {
    await use();
  } finally {
    Deno.connect = connect;
  }
  return seen;
}

Deno.test("webSocketScheme: a message of any size is one write, without delay", async () => {
  const { noDelay, writes } = await observed(async () => {
    const { client, server, listener } = await pair();
    for (const size of [100, 1_024, 1_025, 100_000]) {
      await client.write(new Uint8Array(size));
      for (let left = size; left > 0;) left -= (await server.read())!.length;
    }
    await Promise.all([client.close(), server.close()]);
    listener.close();
  });
  assertEquals(noDelay, [true]);
  // The first is the handshake, the last CLOSE; headers have 6 to 14 bytes.
  assertEquals(writes.slice(1, -1), [106, 1_032, 1_033, 100_014]);
});

Deno.test("webSocketScheme: close() of the client ends the server's reading", async () => {
  const { client, server, listener } = await pair();
  await client.close();
  assertEquals(await server.read(), null);
  await server.close();
  listener.close();
});

Deno.test("webSocketScheme: the refusal of a server is an error with its status", async () => {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    () => new Response(null, { status: 418 }),
  );
  const address = `//127.0.0.1:${server.addr.port}`;
  await assertRejects(
    () => ws.connect(address, signal),
    Error,
    "the server answered 418 I'm a teapot",
  );
  await server.shutdown();
});

Deno.test("webSocketScheme: an abort while the server is silent rejects and closes the connection", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const controller = new AbortController();
  const dialing = ws.connect(
    `//127.0.0.1:${listener.addr.port}`,
    controller.signal,
  );
  const watched = watch(dialing);
  const conn = await listener.accept();
  assert(await conn.read(new Uint8Array(1_000)) !== null);
  assertEquals(watched.state, "pending");
  controller.abort("enough");
  await until(() => watched.state !== "pending");
  // The caller replaces the error by the signal's reason: see talk/dial/dial.ts.
  assertEquals(watched.state, "rejected");
  assertEquals(await conn.read(new Uint8Array(1)), null);
  conn.close();
  listener.close();
});

Deno.test("webSocketScheme: dials wss: with a trusted certificate only", async () => {
  const tls = (file: string) =>
    new URL(`../../../tests/support/tls/${file}`, import.meta.url);
  const server = Deno.serve({
    port: 0,
    hostname: "127.0.0.1",
    cert: Deno.readTextFileSync(tls("cert.pem")),
    key: Deno.readTextFileSync(tls("key.pem")),
    onListen() {},
  }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onmessage = ({ data }) => socket.send(data);
    return response;
  });
  const address = `//localhost:${server.addr.port}`;
  await assertRejects(
    () => wss.connect(address, signal),
    TlsError,
    "unknown",
  );

  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-net=localhost",
      // On Windows a URL's path is /C:/…, and the file's is C:/…
      `--cert=${tls("ca.pem").pathname.replace(/^\/(?=\w:)/, "")}`,
      new URL("../../../tests/support/websocket_echo.ts", import.meta.url).href,
      address,
    ],
  }).output();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr));
  assertEquals(decoder.decode(stdout), "5000 bytes came back\n");
  await server.shutdown();
});

// --- The runtime's own WebSocket ---------------------------------------------

testTransport("dialNative", async () => {
  const listener = await ws.listen("//127.0.0.1:0");
  const [a, accepted] = await Promise.all([
    dialNative({ url: new URL(listener.addr) }, signal),
    listener.accept(),
  ]);
  return { a, b: accepted!.transport, close: () => listener.close() };
}, NO_HALF_CLOSE);

Deno.test("dialNative: the refusal of a server is an error", async () => {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    () => new Response(),
  );
  const url = new URL(`ws://127.0.0.1:${server.addr.port}`);
  await assertRejects(
    () => dialNative({ url }, signal),
    Error,
    "the WebSocket was not opened: the server cannot be reached, or has refused it",
  );
  await server.shutdown();
});

Deno.test("wss:, dial(): options of TLS are an error where the runtime's WebSocket decides whom to trust", async () => {
  // As in a browser.
  const saved = ["Deno", "process"].filter((name) => name in globalThis)
    .map((name) => [name, Reflect.get(globalThis, name)] as const);
  const dialing = (() => {
    for (const [name] of saved) Reflect.deleteProperty(globalThis, name);
    try {
      return wss.connect("//127.0.0.1:1", signal, {
        tls: { pin: "0".repeat(64) },
      });
    } finally {
      Object.assign(globalThis, Object.fromEntries(saved));
    }
  })();
  await assertRejects(
    () => dialing,
    TypeError,
    'option "tls" has no effect on a WebSocket of this runtime',
  );
});

Deno.test("dialNative: an abort rejects with its reason", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const url = new URL(`ws://127.0.0.1:${listener.addr.port}`);
  const controller = new AbortController();
  const dialing = dialNative({ url }, controller.signal);
  const conn = await listener.accept();
  controller.abort("enough");
  assertEquals(await dialing.catch((reason) => reason), "enough");
  conn.close();
  listener.close();
});

Deno.test("dialNative: sends headers, or rejects in browsers, which cannot", async () => {
  const asked = Promise.withResolvers<Headers>();
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    (request) => {
      asked.resolve(new Headers(request.headers));
      return new Response();
    },
  );
  const url = new URL(`ws://127.0.0.1:${server.addr.port}`);
  const headers = { "x-token": "secret" };
  await assertRejects(() =>
    dialNative({ url, headers, protocols: ["a"] }, signal)
  );
  const { promise } = asked;
  assertEquals((await promise).get("x-token"), "secret");
  assertEquals((await promise).get("sec-websocket-protocol"), "a");
  await server.shutdown();

  const { process } = globalThis as { process?: unknown };
  Reflect.deleteProperty(globalThis, "process");
  try {
    await assertRejects(
      () => dialNative({ url, headers }, signal),
      TypeError,
      "a WebSocket of a browser cannot send headers",
    );
  } finally {
    Object.assign(globalThis, { process });
  }
});
