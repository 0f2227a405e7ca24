import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import { turn, watch, within } from "../../../tests/support/within.ts";
import { type UpgradeOptions, webSocketAcceptor } from "./acceptor.ts";
import { MAX_HANDSHAKES } from "../handshakes.ts";

/** The options that an upgrade passes to Deno. */
async function optionsOfUpgrade(
  options: UpgradeOptions,
): Promise<Deno.UpgradeWebSocketOptions | undefined> {
  const { upgradeWebSocket } = Deno;
  let seen: Deno.UpgradeWebSocketOptions | undefined;
  Deno.upgradeWebSocket = (_request, options) => {
    seen = options;
    throw new TypeError("not upgraded");
  };
  try {
    const acceptor = webSocketAcceptor("ws://example.com/", options);
    const headers = { upgrade: "websocket" };
    const request = new Request("http://example.com/", { headers });
    assertEquals((await acceptor.handle(request)).status, 400);
  } finally {
    Deno.upgradeWebSocket = upgradeWebSocket;
  }
  return seen;
}

Deno.test("webSocketAcceptor: idleTimeout is rounded up to whole seconds", async () => {
  const cases = [
    [0, 0],
    [1, 1],
    [1_000, 1],
    [1_001, 2],
    [30_000, 30],
    [2 ** 31 - 1, 2_147_484],
  ] as const;
  for (const [milliseconds, seconds] of cases) {
    assertEquals(
      await optionsOfUpgrade({ idleTimeout: milliseconds }),
      { idleTimeout: seconds },
    );
  }
});

Deno.test("webSocketAcceptor: every option accepts undefined as its default", async () => {
  const options: Required<UpgradeOptions> = {
    path: undefined,
    origins: undefined,
    hosts: undefined,
    authenticate: undefined,
    protocols: undefined,
    idleTimeout: undefined,
    fallback: undefined,
  };
  assertEquals(await optionsOfUpgrade(options), {});
});

Deno.test("webSocketAcceptor: a request is refused if authenticate returns neither a boolean nor a Response", async () => {
  // What programs without types return by mistake.
  for (const result of [undefined, null, 1, "Ann", { user: "Ann" }]) {
    for (const returned of [result, Promise.resolve(result)]) {
      const authenticate = () => returned as unknown as boolean;
      await assertRejects(
        () => optionsOfUpgrade({ authenticate }),
        TypeError,
        'Cannot use what option "authenticate" returned: it is ',
      );
    }
  }
});

Deno.test("webSocketAcceptor: an idleTimeout out of range is a RangeError", () => {
  for (const idleTimeout of [-1, 0.5, NaN, Infinity, 2 ** 31]) {
    assertThrows(
      () => webSocketAcceptor("ws://example.com/", { idleTimeout }),
      RangeError,
      `Cannot use option "idleTimeout": ${idleTimeout} is not an integer from 0`,
    );
  }
});

Deno.test("webSocketAcceptor: a path that no URL has, so that no request would match it, is a TypeError", () => {
  for (
    const [path, text] of [
      ["rpc", '"rpc"; write "/rpc"'],
      ["", '""; write "/"'],
      ["/a b", '"/a b"; write "/a%20b"'],
      [5 as unknown as string, "a number is not a string"],
    ] as const
  ) {
    assertThrows(
      () => webSocketAcceptor("ws://example.com/", { path }),
      TypeError,
      text,
    );
  }
  for (const path of ["/", "/rpc", "/a%20b/"]) {
    webSocketAcceptor("ws://example.com/", { path }).close();
  }
});

/** A socket of the runtime, before its events. */
class Socket extends EventTarget {
  binaryType = "blob";
  readyState = 0;
  bufferedAmount = 0;
  closed = false;

  send(): void {}

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }

  end(): void {
    this.readyState = 3;
    this.dispatchEvent(new CloseEvent("close", { code: 1000 }));
  }
}

/** An acceptor on a runtime whose sockets open when the test says so. */
function lab(maxSockets = Infinity, options: UpgradeOptions = {}) {
  const { upgradeWebSocket } = Deno;
  const sockets: Socket[] = [];
  Deno.upgradeWebSocket = () => {
    const socket = new Socket();
    sockets.push(socket);
    const response = new Response();
    return { socket: socket as unknown as WebSocket, response };
  };
  const late: string[] = [];
  const acceptor = webSocketAcceptor("ws://example.com/", options, {
    maxSockets,
    handshake: {
      timeout: 5_000,
      onTimeout: (remoteAddr) => late.push(remoteAddr),
    },
  });
  return {
    acceptor,
    sockets,
    late,
    /** Makes a request; returns the status of its answer. */
    async request(): Promise<number> {
      const headers = { upgrade: "websocket" };
      const request = new Request("http://example.com/", { headers });
      const remoteAddr = { transport: "tcp", hostname: "192.0.2.1", port: 1 };
      return (await acceptor.handle(request, { remoteAddr })).status;
    },
    [Symbol.dispose]() {
      Deno.upgradeWebSocket = upgradeWebSocket;
    },
  };
}

test("webSocketAcceptor: a socket is accepted when it opens, and not before", async () => {
  using one = lab();
  await one.request();
  const accepting = one.acceptor.accept();
  const watched = watch(accepting);
  await turn();
  assertEquals(watched.state, "pending");
  one.sockets[0]!.open();
  const accepted = await within(accepting, "the socket");
  assertEquals(accepted!.remoteAddr, "tcp://192.0.2.1:1");
  const closing = accepted!.transport.close();
  one.sockets[0]!.end();
  await closing;
  one.acceptor.close();
  assertEquals(await one.acceptor.accept(), null);
});

test("webSocketAcceptor: a socket whose client has left before it opened is given up after the time for handshakes", async (t) => {
  const time = t.time();
  using one = lab();
  for (let i = 0; i < 3; i++) await one.request();
  const accepting = watch(one.acceptor.accept());
  time.tick(4_999);
  await turn();
  assertEquals(one.late, []);
  time.tick(1);
  await turn();
  assertEquals(one.late, Array(3).fill("tcp://192.0.2.1:1"));
  assertEquals(one.sockets.map(({ closed }) => closed), [true, true, true]);
  // It is too late for this one.
  one.sockets[0]!.open();
  await turn();
  assertEquals(accepting.state, "pending");
  one.acceptor.close();
  await turn();
  assertEquals(accepting.state, "resolved");
});

test("webSocketAcceptor: one handshake too many gives up the oldest", async (t) => {
  using _ = t.time();
  using one = lab();
  for (let i = 0; i < MAX_HANDSHAKES; i++) await one.request();
  assertEquals(one.sockets.some(({ closed }) => closed), false);
  await one.request();
  assertEquals(one.sockets.findIndex(({ closed }) => !closed), 1);
  one.acceptor.close();
  assertEquals(one.sockets.every(({ closed }) => closed), true);
});

test("webSocketAcceptor: sockets that the client leaves open count, and more get 503", async () => {
  using one = lab(2);
  for (const at of [0, 1]) {
    assertEquals(await one.request(), 200);
    const accepting = one.acceptor.accept();
    one.sockets[at]!.open();
    const { transport } = (await within(accepting, "the socket"))!;
    // The client does not answer CLOSE.
    void transport.closeWrite();
  }
  assertEquals(await one.request(), 503);
  one.sockets[0]!.end();
  assertEquals(await one.request(), 200);
  one.acceptor.close();
  assertEquals(await one.request(), 503);
});
