import {
  dial,
  type DialOptions,
  handlerFrom,
  Peer,
  TalkError,
} from "@qtalk/qtalk";
import { MuxError, qmux, webSocketTransport } from "@qtalk/qtalk/mux";
import {
  serveWebSocket,
  type ServeWebSocketOptions,
  type WebSocketHandler,
} from "@qtalk/qtalk/websocket";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { turn, until, watch, within } from "../../tests/support/within.ts";

const handler = handlerFrom({ echo: (value: unknown) => value });

/** A server of WebSockets only. */
class Site implements AsyncDisposable {
  readonly handler: WebSocketHandler;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly host: string;

  constructor(options: ServeWebSocketOptions = {}) {
    this.handler = serveWebSocket({ handler, ...options });
    this.#server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen() {} },
      this.handler,
    );
    this.host = `127.0.0.1:${this.#server.addr.port}`;
  }

  dial(path = "/", options: DialOptions = {}): Promise<Peer> {
    return dial(`ws://${this.host}${path}`, options);
  }

  /** Requests a page. */
  async get(path: string, init?: RequestInit): Promise<[number, string]> {
    const response = await fetch(`http://${this.host}${path}`, init);
    return [response.status, await response.text()];
  }

  /** The head of the answer to a request with these header fields. */
  async answerTo(...fields: string[]): Promise<string> {
    const [hostname, port] = this.host.split(":");
    using conn = await Deno.connect({
      hostname: hostname!,
      port: Number(port),
    });
    const head = ["GET / HTTP/1.1", `Host: ${this.host}`, ...fields];
    await conn.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n`));
    const buffer = new Uint8Array(1_000);
    const read = await conn.read(buffer);
    return new TextDecoder().decode(buffer.subarray(0, read!));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handler.listener.close();
    await this.#server.shutdown();
  }
}

async function assertAnswer(dialing: Promise<Peer>, answer: string) {
  const error = await assertRejects(() => dialing, TalkError, answer);
  assertEquals(error.code, "dial-failed");
}

Deno.test("serveWebSocket(): the peers call each other", async () => {
  const calledBack = Promise.withResolvers<unknown>();
  await using site = new Site({
    onPeer: (peer) => peer.call("name").then(calledBack.resolve),
  });
  await using peer = await site.dial("/any/path", {
    handler: handlerFrom({ name: () => "Ann" }),
  });
  assertEquals(
    await peer.call("echo", ["x".repeat(100_000)]),
    "x".repeat(100_000),
  );
  assertEquals(await calledBack.promise, "Ann");
});

Deno.test("serveWebSocket(): the runtime's WebSocket can connect", async () => {
  await using site = new Site();
  const socket = new WebSocket(`ws://${site.host}`);
  await using peer = new Peer(qmux(webSocketTransport(socket)));
  assertEquals(await peer.call("echo", ["hello"]), "hello");
});

Deno.test("serveWebSocket(): all other requests go to the fallback", async () => {
  await using site = new Site({
    path: "/rpc",
    fallback: async (request) => {
      const { pathname } = new URL(request.url);
      return new Response(`${pathname} ${await request.text()}`, {
        status: 203,
      });
    },
  });
  assertEquals(await site.get("/page"), [203, "/page "]);
  assertEquals(await site.get("/rpc"), [203, "/rpc "]);
  assertEquals(
    await site.get("/form", { method: "POST", body: "filled in" }),
    [203, "/form filled in"],
  );
  await assertAnswer(site.dial("/other"), "the server answered 203");
  await using peer = await site.dial("/rpc?with=query");
  assertEquals(await peer.call("echo", [1]), 1);
});

Deno.test("serveWebSocket(): other requests are refused without a fallback", async () => {
  await using site = new Site({ path: "/rpc" });
  assertEquals(await site.get("/page"), [404, "Not Found\n"]);
  assertEquals(await site.get("/rpc"), [426, "Upgrade Required\n"]);
  await assertAnswer(site.dial("/other"), "the server answered 404 Not Found");
});

Deno.test("serveWebSocket(): a page of another origin is refused unless it is listed", async () => {
  await using site = new Site({ origins: ["https://friend.example"] });
  for (
    const origin of [
      "https://evil.example",
      `http://x${site.host}`,
      "null",
      "file://",
    ]
  ) {
    await assertAnswer(
      site.dial("/", { headers: { origin } }),
      "the server answered 403 Forbidden",
    );
  }
  for (const origin of ["https://friend.example", `https://${site.host}`]) {
    await using peer = await site.dial("/", { headers: { origin } });
    assertEquals(await peer.call("echo", [origin]), origin);
  }
});

Deno.test("serveWebSocket(): over loopback, a page whose name resolves to this machine is refused", async () => {
  await using site = new Site({ hosts: ["dev.example"] });
  const port = site.host.split(":")[1];
  for (const name of ["evil.example", "192.168.1.5"]) {
    const host = `${name}:${port}`;
    await assertAnswer(
      site.dial("/", { headers: { host, origin: `http://${host}` } }),
      "the server answered 403 Forbidden",
    );
  }
  for (const name of ["localhost", "LOCALHOST.", "[::1]", "dev.example"]) {
    const host = `${name}:${port}`;
    const headers = { host, origin: `http://${host}` };
    await using peer = await site.dial("/", { headers });
    assertEquals(await peer.call("echo", [name]), name);
  }
});

Deno.test("serveWebSocket(): behind a proxy on this machine, every Host is welcome", async () => {
  await using site = new Site();
  const headers = {
    host: "a.example",
    origin: "https://a.example",
    "x-forwarded-for": "203.0.113.9",
  };
  await using peer = await site.dial("/", { headers });
  assertEquals(await peer.call("echo", [1]), 1);
});

Deno.test("serveWebSocket(): a malformed Host is answered with 400 and does not change the path", async () => {
  await using site = new Site({ path: "/rpc", hosts: "*" });
  await assertAnswer(
    site.dial("/rpc", { headers: { host: "a b" } }),
    "the server answered 400 Bad Request",
  );
  await assertAnswer(
    site.dial("/", { headers: { host: "a/rpc?" } }),
    "the server answered 400 Bad Request",
  );
});

Deno.test("serveWebSocket(): a host that is not a name is a TypeError", () => {
  assertThrows(
    () => serveWebSocket({ hosts: ["https://a.example"] }),
    TypeError,
    'Cannot use option "hosts": "https://a.example" is not',
  );
});

Deno.test('serveWebSocket(): every page may connect with origins "*"', async () => {
  await using site = new Site({ origins: "*" });
  await using peer = await site.dial("/", { headers: { origin: "null" } });
  assertEquals(await peer.call("echo", [1]), 1);
});

Deno.test("serveWebSocket(): a program without an Origin header may connect", async () => {
  await using site = new Site();
  const answer = await site.answerTo(
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  );
  assert(answer.startsWith("HTTP/1.1 101 "), answer);
});

Deno.test("serveWebSocket(): authenticate decides by the request before the upgrade", async () => {
  const asked: string[] = [];
  await using site = new Site({
    async authenticate(request, info) {
      asked.push(
        `${new URL(request.url).search} ${info?.remoteAddr !== undefined}`,
      );
      await turn();
      switch (request.headers.get("authorization")) {
        case "Bearer good":
          return true;
        case "Bearer old":
          return new Response(null, { status: 419 });
        default:
          return false;
      }
    },
  });
  const as = (authorization: string) =>
    site.dial("/?a=b", { headers: { authorization } });
  await assertAnswer(site.dial(), "the server answered 401 Unauthorized");
  await assertAnswer(as("Bearer old"), "the server answered 419");
  await using peer = await as("Bearer good");
  assertEquals(await peer.call("echo", [1]), 1);
  assertEquals(asked, [" true", "?a=b true", "?a=b true"]);
});

Deno.test("serveWebSocket(): authenticate is not called for requests that are refused anyway", async () => {
  let asked = 0;
  await using site = new Site({
    path: "/rpc",
    authenticate: () => ++asked > 0,
  });
  await site.get("/rpc");
  await assertRejects(() => site.dial("/other"));
  const headers = { origin: "https://evil.example" };
  await assertRejects(() => site.dial("/rpc", { headers }));
  assertEquals(asked, 0);
});

Deno.test("serveWebSocket(): onPeer gets the request of authenticate, still readable", async () => {
  const users = new WeakMap<Request, string>();
  const requests: Request[] = [];
  await using site = new Site({
    authenticate(request) {
      users.set(request, request.headers.get("x-user") ?? "unknown");
      return true;
    },
    onPeer(peer, { request }) {
      const user = users.get(request)!;
      peer.handle("whoami", (_call, respond) => respond.return(user));
      requests.push(request);
    },
  });
  await using peer = await site.dial("/?q", { headers: { "x-user": "Ann" } });
  // The call proves that the upgrade, which ends the original, is complete.
  assertEquals(await peer.call("whoami"), "Ann");
  const [request] = requests;
  assertEquals(request!.url, `http://${site.host}/?q`);
  assertEquals(request!.headers.get("x-user"), "Ann");
});

Deno.test("serveWebSocket(): an onPeer that throws closes its peer and is reported", async () => {
  const errors: unknown[] = [];
  let peers = 0;
  await using site = new Site({
    onPeer() {
      if (++peers === 1) throw new Error("not this one");
    },
    onError: (error) => errors.push((error as Error).message),
  });
  const first = await site.dial();
  await within(first.closed, "the first to be closed");
  await using second = await site.dial();
  assertEquals(await second.call("echo", [1]), 1);
  assertEquals(errors, ["not this one"]);
});

Deno.test("serveWebSocket(): the first protocol that both sides support is chosen", async () => {
  await using site = new Site({ protocols: ["qtalk.v2", "qtalk.v1"] });
  const agreed = async (protocols: string[]) => {
    const socket = new WebSocket(`ws://${site.host}`, protocols);
    await new Promise((resolve) => socket.onopen = resolve);
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.close();
    await closed;
    return socket.protocol;
  };
  assertEquals(await agreed(["other", "qtalk.v1", "qtalk.v2"]), "qtalk.v1");
  await using peer = await site.dial("/", { protocols: "qtalk.v2" });
  assertEquals(await peer.call("echo", [1]), 1);
});

Deno.test("serveWebSocket(): an incomplete upgrade request is refused", async () => {
  await using site = new Site();
  // The key and the version are missing.
  const answer = await site.answerTo(
    "Connection: Upgrade",
    "Upgrade: websocket",
  );
  assert(answer.startsWith("HTTP/1.1 400 "), answer);
});

Deno.test("serveWebSocket(): a client that sends text is disconnected, and no other", async () => {
  const errors: unknown[] = [];
  await using site = new Site({ onError: (error) => errors.push(error) });
  await using peer = await site.dial();
  const socket = new WebSocket(`ws://${site.host}`);
  await new Promise((resolve) => socket.onopen = resolve);
  socket.send("hello?");
  const { code } = await new Promise<CloseEvent>((r) => socket.onclose = r);
  assertEquals(code, 4002);
  assertEquals(await peer.call("echo", [1]), 1);
  assertEquals((errors[0] as MuxError).code, "protocol-error");
});

Deno.test("serveWebSocket(): a message that Deno refuses ends its own session only", async () => {
  const errors: unknown[] = [];
  await using site = new Site({ onError: (error) => errors.push(error) });
  await using peer = await site.dial();
  const socket = new WebSocket(`ws://${site.host}`);
  await new Promise((resolve) => socket.onopen = resolve);
  socket.send(new Uint8Array(64 * 1024 * 1024));
  await new Promise((resolve) => socket.onclose = resolve);
  assertEquals(await peer.call("echo", [1]), 1);
  await until(() => errors.length > 0);
  assertEquals((errors[0] as MuxError).code, "connection-lost");
});

Deno.test("serveWebSocket(): listener.close() closes the peers, and new requests get 503", async () => {
  await using site = new Site({ fallback: () => new Response("page") });
  const { listener } = site.handler;
  const iterator = listener[Symbol.asyncIterator]();
  const peer = await site.dial();
  const { value: served } = await iterator.next();
  await listener.close();
  await within(peer.closed, "the client to be closed");
  await within(served!.closed, "the peer to be closed");
  await listener.closed;
  await assertAnswer(
    site.dial(),
    "the server answered 503 Service Unavailable",
  );
  assertEquals(await site.get("/"), [200, "page"]);
});

Deno.test("serveWebSocket(): a request in authenticate gets 503 if the listener closes", async () => {
  const decision = Promise.withResolvers<boolean>();
  const asked = Promise.withResolvers<void>();
  await using site = new Site({
    authenticate() {
      asked.resolve();
      return decision.promise;
    },
  });
  const dialing = watch(site.dial());
  await asked.promise;
  await site.handler.listener.close();
  decision.resolve(true);
  await until(() => dialing.state !== "pending");
  assert(`${dialing.reason}`.includes("503"), `${dialing.reason}`);
});

Deno.test("serveWebSocket(): an option out of range throws", () => {
  assertThrows(
    () => serveWebSocket({ session: { maxChannels: 0 } }),
    RangeError,
    "maxChannels",
  );
  assertThrows(
    () => serveWebSocket({ maxValueSize: 2 ** 32 }),
    RangeError,
    'Cannot use option "maxValueSize": 4294967296 is not an integer from 1 to 4294967295',
  );
});

Deno.test("serveWebSocket(): a client that vanishes is detected after idleTimeout", async () => {
  await using site = new Site({ idleTimeout: 1_000 });
  const iterator = site.handler.listener[Symbol.asyncIterator]();
  const conn = await Deno.connect({
    hostname: "127.0.0.1",
    port: Number(site.host.split(":")[1]),
  });
  await conn.write(new TextEncoder().encode([
    "GET / HTTP/1.1",
    `Host: ${site.host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "\r\n",
  ].join("\r\n")));
  const { value: peer } = await iterator.next();
  const error = await assertRejects(
    () => within(peer!.closed, "the server to notice"),
    MuxError,
  );
  assertEquals(error.code, "connection-lost");
  conn.close();
});

Deno.test("serveWebSocket(): it runs under deno serve without flags or permissions", async () => {
  const module = new URL(
    "../../tests/support/serve_module.ts",
    import.meta.url,
  );
  const child = new Deno.Command(Deno.execPath(), {
    args: ["serve", "--port=0", "--host=127.0.0.1", module.href],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  try {
    let output = "";
    let host: string | undefined;
    const lines = child.stderr.pipeThrough(new TextDecoderStream());
    for await (const piece of lines.values({ preventCancel: true })) {
      output += piece;
      host = /http:\/\/(127\.0\.0\.1:\d+)/.exec(output)?.[1];
      if (host !== undefined) break;
    }
    assert(host !== undefined, output);
    await using peer = await dial(`ws://${host}/`);
    assertEquals(await peer.call("echo", ["served"]), "served");
    assertEquals(await (await fetch(`http://${host}/`)).text(), "a page");
    await lines.cancel();
  } finally {
    child.kill();
    await child.status;
  }
});
