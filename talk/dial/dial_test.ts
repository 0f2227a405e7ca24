import { networkInterfaces } from "node:os";
import {
  dial,
  type DialOptions,
  dialSession,
  handlerFrom,
  listen,
  listenSession,
  TalkError,
} from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { toText } from "@std/streams";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";

/** The address of a Unix socket that does not exist. */
async function socketPath() {
  const folder = await Deno.makeTempDir({ prefix: "qtalk" });
  return {
    address: `unix:${folder}/socket`,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

const handler = handlerFrom({ echo: (value: unknown) => value });

/** An address that nothing listens on: the port of the obsolete tcpmux. */
const REFUSING = "tcp://127.0.0.1:1";

const { os } = Deno.build;
type Test = (name: string, fn: () => Promise<void>) => void;
/** Deno has no Unix sockets on Windows. */
const testUnix: Test = os === "windows" ? Deno.test.ignore : Deno.test;
/**
 * A backlog of 1 holds two connections on Linux and leaves a third without an
 * answer. On macOS it holds one, and Windows refuses what it cannot hold.
 */
const testUnresponsive: Test = os === "linux" ? Deno.test : Deno.test.ignore;

Deno.test("dial(): a TCP address is connected to", async () => {
  await using listener = await listen("tcp://127.0.0.1:0", { handler });
  await using peer = await dial(listener.addr);
  assertEquals(await peer.call("echo", ["hi"]), "hi");
});

testUnix("dial(): a Unix socket is connected to", async () => {
  await using path = await socketPath();
  await using listener = await listen(path.address, { handler });
  assertEquals(listener.addr, path.address);
  await using peer = await dial(listener.addr);
  assertEquals(await peer.call("echo", ["hi"]), "hi");
});

Deno.test("dial(): the scheme is case-insensitive, and the host may be a name", async () => {
  await using listener = await listen("TCP://localhost:0", { handler });
  const port = listener.addr.split(":").at(-1);
  await using peer = await dial(`Tcp://localhost:${port}/`);
  assertEquals(await peer.call("echo", ["hi"]), "hi");
});

Deno.test("dial(): the dialing side answers calls too", async () => {
  const peers = Promise.withResolvers<unknown>();
  await using listener = await listen("tcp://127.0.0.1:0", {
    handler: async (call, respond) => {
      await respond.return();
      peers.resolve(await call.caller.call("name"));
    },
  });
  await using peer = await dial(listener.addr, {
    handler: handlerFrom({ name: () => "dialer" }),
  });
  await peer.call("hello");
  assertEquals(await within(peers.promise, "the call back"), "dialer");
});

Deno.test("dialSession(): channels are opened and half-closed", async () => {
  await using path = await socketPath();
  const unix = os === "windows" ? [] : [path.address];
  for (const address of ["tcp://127.0.0.1:0", ...unix]) {
    await using listener = await listenSession(address);
    const echo = (async () => {
      for await (const session of listener) {
        for await (const channel of session) {
          await channel.readable.pipeTo(channel.writable);
        }
        return;
      }
    })();
    const session = await dialSession(listener.addr);
    const channel = await session.open();
    const writer = channel.writable.getWriter();
    await writer.write(new TextEncoder().encode("there and back"));
    await writer.close();
    assertEquals(await toText(channel.readable), "there and back");
    await session.close();
    await session.closed;
    await within(echo, "the incoming channels to end");
  }
});

Deno.test("dial(): the error for a bad address names the expected form", async () => {
  const addresses: Record<string, string> = {
    "tcp:": "expected tcp://host:port",
    "tcp://": "expected tcp://host:port",
    "tcp:localhost:80": "expected tcp://host:port",
    "tcp://localhost": "expected tcp://host:port",
    "tcp://:80": "expected tcp://host:port",
    "tcp://localhost:": "expected tcp://host:port",
    "tcp://localhost:65536": "expected tcp://host:port",
    "tcp://localhost:-1": "expected tcp://host:port",
    "tcp://localhost:80/path": "expected tcp://host:port",
    "tcp://user@localhost:80": "expected tcp://host:port",
    "tcp://::1:80": "expected tcp://host:port",
    "tcp://[::1]": "expected tcp://host:port",
    "tcp://[]:80": "expected tcp://host:port",
    "tcp://[::g]:80": "expected tcp://host:port",
    "tcp://[localhost]:80": "expected tcp://host:port",
    "tcp://[::1%]:80": "expected tcp://host:port",
    "tcp://[::1%lo]:80": 'only an address of "fe80::/10" has a zone',
    "tcp://[fe8::1%lo]:80": 'only an address of "fe80::/10" has a zone',
    "tls://[fd00::1%lo]:80": 'only an address of "fe80::/10" has a zone',
    "tcp://256.0.0.1:80": "expected tcp://host:port",
    // Bun takes it for every address of this machine.
    "tcp://*:80": "expected tcp://host:port",
    "tcp://a,b:80": "expected tcp://host:port",
    "tcp://localhost%00:80": "expected tcp://host:port",
    "tls://[localhost]:80": "expected tls://host:port",
    "quic://[localhost]:80": "expected quic://host:port",
    "wt:": "expected wt://host[:port]/path",
    "wt://localhost:65536/": "expected wt://host[:port]/path",
    "unix:": "expected unix:/path",
    "unix://": "expected unix:/path",
    "stdio:file": "expected stdio:",
    // Bun would use the path up to the zero character.
    "unix:/a\0b": "expected unix:/path",
    "unix:\0": "expected unix:/path",
  };
  for (const [address, expected] of Object.entries(addresses)) {
    const opening = [
      ["dial", () => dial(address)],
      ["listen on", () => listen(address)],
    ] as const;
    for (const [verb, open] of opening) {
      const error = await assertRejects(open, TalkError, "", address);
      assertEquals(error.code, "bad-address", address);
      const shown = address.replace("user@", "…@").replace("\0", "\\u0000");
      assertEquals(error.message, `Cannot ${verb} "${shown}": ${expected}`);
    }
  }
});

const linkLocal = linkLocalAddress();

Deno.test({
  name: "dial(): a listener at an address with a zone can be dialed",
  ignore: linkLocal === undefined,
  async fn() {
    await using listener = await listen(`tcp://[${linkLocal}]:0`);
    assert(listener.addr.startsWith(`tcp://[${linkLocal}]:`), listener.addr);
    await using peer = await dial(listener.addr);
    assertEquals(peer.addr, listener.addr);
  },
});

/** An address of this machine with its zone, if it has one. */
function linkLocalAddress(): string | undefined {
  const found = networkInterfaces();
  for (const [name, addresses = []] of Object.entries(found)) {
    for (const { address } of addresses) {
      if (address.startsWith("fe80:")) return `${address}%${name}`;
    }
  }
  return undefined;
}

Deno.test("dial(): nothing can be reached at port 0, which is for listeners", async () => {
  for (const form of ["tcp:", "tls:", "quic:", "ws:", "wss:", "wt:"]) {
    const address = `${form}//127.0.0.1:0`;
    const error = await assertRejects(() => dial(address), TalkError);
    assertEquals([error.code, error.permanent], ["bad-address", true], address);
    assertEquals(
      error.message,
      `Cannot dial "${address}": port 0 is only for listening`,
    );
  }
});

Deno.test("dial(): the error for an unknown scheme lists the known schemes", async () => {
  for (const address of ["", "nothing", "smtp://a", "constructor:a", ":1"]) {
    const opening = [
      () => dial(address),
      () => dialSession(address),
      () => listen(address),
      () => listenSession(address),
    ];
    for (const open of opening) {
      const error = await assertRejects(open, TalkError);
      assertEquals(error.code, "unknown-scheme");
      const text = `Cannot use address "${address}": its scheme is not one of `;
      assert(
        error.message.startsWith(`${text}tcp, unix, stdio`),
        error.message,
      );
    }
  }
});

Deno.test("dial(): the error for an address without a scheme, or of the web, says what to write", async () => {
  for (
    const [address, hint] of [
      ["http://localhost:8000/", "use ws: or wss:"],
      ["HTTPS://example.com/", "use ws: or wss:"],
      ["localhost:8000", 'did you mean "tcp://localhost:8000"?'],
      ["[::1]:8000", 'did you mean "tcp://[::1]:8000"?'],
      ["/run/a.sock", 'did you mean "unix:/run/a.sock"?'],
      ["./a.sock", 'did you mean "unix:./a.sock"?'],
      ["../a.sock", 'did you mean "unix:../a.sock"?'],
      // Nobody can say what these are to be.
      ["//localhost:8000", undefined],
      ["::1:8000", undefined],
      [".../a.sock", undefined],
    ] as const
  ) {
    for (const open of [() => dial(address), () => listen(address)]) {
      const error = await assertRejects(open, TalkError);
      assertEquals(error.code, "unknown-scheme");
      const end = hint === undefined ? ", peer" : `; ${hint}`;
      assert(error.message.endsWith(end), error.message);
    }
  }
});

Deno.test("listen(): the error for several addresses says that only dial() takes them", async () => {
  const several = ["tcp://127.0.0.1:0"] as unknown as string;
  for (const open of [() => listen(several), () => listenSession(several)]) {
    await assertRejects(
      open,
      TalkError,
      "Cannot use address: an array is not a string; only dial() takes several",
    );
  }
});

Deno.test("dial(): a refused connection is dial-failed with a cause", async () => {
  await using path = await socketPath();
  for (const address of [REFUSING, path.address]) {
    const error = await assertRejects(() => dial(address), TalkError);
    assertEquals(error.code, "dial-failed");
    assert(error.message.startsWith(`Cannot dial "${address}": `));
    assert(error.cause instanceof Error);
  }
});

/** An address that neither accepts nor refuses, because its queue is full. */
async function unresponsive() {
  const listener = Deno.listen({
    hostname: "127.0.0.1",
    port: 0,
    tcpBacklog: 1,
  });
  const { port } = listener.addr;
  const queued = await Promise.all([1, 2].map(() => Deno.connect({ port })));
  return {
    address: `tcp://127.0.0.1:${port}`,
    [Symbol.dispose]: () => {
      for (const conn of queued) conn.close();
      listener.close();
    },
  };
}

testUnresponsive(
  "dial(): an attempt that exceeds its timeout rejects",
  async () => {
    using server = await unresponsive();
    using time = new FakeTime();
    for (const open of [dial, dialSession]) {
      const dialing = watch(open(server.address, { timeout: 500 }));
      await until(() => time.waiting !== 0);
      time.tick(499);
      await turn();
      assertEquals(dialing.state, "pending");
      time.tick(1);
      await turn();
      const error = dialing.reason as TalkError;
      assert(error instanceof TalkError, String(error));
      assertEquals(error.code, "timeout");
      assertEquals(
        error.message,
        `Cannot dial "${server.address}": no connection within 500 ms (option "timeout")`,
      );
    }
  },
);

testUnresponsive(
  "dial(): the error of a timeout names all addresses, without what may be secret",
  async () => {
    using server = await unresponsive();
    using time = new FakeTime();
    const addresses = [server.address, "ws://ann:secret@localhost/?token=1"];
    const dialing = watch(dial(addresses, { timeout: 500, headStart: 600 }));
    await until(() => time.waiting !== 0);
    time.tick(500);
    await turn();
    assertEquals(
      (dialing.reason as Error).message,
      `Cannot dial "${server.address}", "ws://…@localhost/?…": no connection within 500 ms (option "timeout")`,
    );
  },
);

testUnresponsive("dial(): the default timeout is 30 seconds", async () => {
  using server = await unresponsive();
  using time = new FakeTime();
  const dialing = watch(dial(server.address));
  await until(() => time.waiting !== 0);
  time.tick(29_999);
  await turn();
  assertEquals(dialing.state, "pending");
  time.tick(1);
  await turn();
  assertEquals((dialing.reason as TalkError).code, "timeout");
});

testUnresponsive(
  "dial(): a timeout that is too long for a timer is no limit",
  async () => {
    using server = await unresponsive();
    using time = new FakeTime();
    for (const timeout of [Infinity, 2 ** 31]) {
      const controller = new AbortController();
      const { signal } = controller;
      const connecting = Promise.withResolvers<void>();
      // dial() listens to the signal after it has set its timer, if it sets one.
      const listen = signal.addEventListener.bind(signal);
      signal.addEventListener = (...args: Parameters<typeof listen>) => {
        listen(...args);
        connecting.resolve();
      };
      const dialing = watch(dial(server.address, { timeout, signal }));
      await connecting.promise;
      assertEquals(time.waiting, 0);
      time.tick(2 ** 32);
      await turn();
      assertEquals(dialing.state, "pending");
      controller.abort("enough");
      await until(() => dialing.state !== "pending");
      assertEquals(dialing.reason, "enough");
    }
  },
);

testUnresponsive(
  "dial(): an abort rejects with the signal's reason",
  async () => {
    using server = await unresponsive();
    const giveUp = new AbortController();
    const dialing = dial(server.address, { signal: giveUp.signal });
    await turn();
    giveUp.abort(new RangeError("mine"));
    await assertRejects(() => dialing, RangeError, "mine");
  },
);

Deno.test("dial(): an aborted signal prevents the connection", async () => {
  const signal = AbortSignal.abort(new RangeError("before"));
  await assertRejects(
    () => dial(REFUSING, { signal }),
    RangeError,
    "before",
  );
});

Deno.test("dial(): an abort has no effect on an established connection", async () => {
  await using listener = await listen("tcp://127.0.0.1:0", { handler });
  const signal = new AbortController();
  await using peer = await dial(listener.addr, { signal: signal.signal });
  signal.abort();
  assertEquals(await peer.call("echo", ["still"]), "still");
});

Deno.test("dial(): an option out of range prevents the connection", async () => {
  const accepted: unknown[] = [];
  await using listener = await listen("tcp://127.0.0.1:0", {
    accept: (connection) => {
      accepted.push(connection);
      return true;
    },
  });
  const wrong: [DialOptions, string][] = [
    [{ session: { maxPacketSize: 1 } }, "maxPacketSize"],
    [{ timeout: -1 }, "timeout"],
    [{ timeout: NaN }, "timeout"],
  ];
  for (const [options, name] of wrong) {
    for (const open of [dial, dialSession]) {
      await assertRejects(
        () => open(listener.addr, options),
        RangeError,
        `Cannot use option "${name}": `,
      );
    }
  }
  const limits = { maxValueSize: 0, maxCallbacks: 1.5 };
  for (const [name, value] of Object.entries(limits)) {
    await assertRejects(
      () => dial(listener.addr, { [name]: value }),
      RangeError,
      `Cannot use option "${name}": ${value} is not an integer `,
    );
  }
  // The first connection that the listener sees is this one.
  await using _ = await dial(listener.addr, { timeout: undefined });
  await until(() => accepted.length > 0);
  assertEquals(accepted.length, 1);
});

/** Addresses with secrets, which fail in different places. */
const SECRET_ADDRESSES = [
  "htp://user:SECRET@127.0.0.1:1/?token=SECRET",
  "user:SECRET@127.0.0.1:1",
  "tcp://user:SECRET@127.0.0.1:1",
  "tcp://127.0.0.1:1?token=SECRET",
  "ws://user:SECRET@127.0.0.1:1/",
  "ws://127.0.0.1:1/?token=SECRET#SECRET",
  "wss://127.0.0.1:1/?SECRET",
  "ws://127.0.0.1:99999/?token=SECRET",
  "unix:/nowhere/socket?token=SECRET",
  "stdio:?token=SECRET",
];

Deno.test("dial(): no error has the secrets of an address, nor has its cause", async () => {
  for (const address of SECRET_ADDRESSES) {
    for (const open of [dial, dialSession]) {
      const error = await assertRejects(() => open(address), TalkError);
      assert(!Deno.inspect(error).includes("SECRET"), Deno.inspect(error));
    }
  }
  for (const address of SECRET_ADDRESSES.slice(0, 5)) {
    for (const open of [listen, listenSession]) {
      const error = await assertRejects(() => open(address), TalkError);
      assert(!Deno.inspect(error).includes("SECRET"), Deno.inspect(error));
    }
  }
});

testUnresponsive(
  "dial(): the error for a timeout has no secrets of the address",
  async () => {
    using server = await unresponsive();
    const address = server.address.replace("tcp:", "ws:") + "/?token=SECRET";
    const error = await assertRejects(
      () => dial(address, { timeout: 1 }),
      TalkError,
    );
    assertEquals(error.code, "timeout");
    assert(!Deno.inspect(error).includes("SECRET"), Deno.inspect(error));
  },
);

Deno.test("dial(): the error for a header that is not valid names it without its value", async () => {
  await using listener = await listen("ws://127.0.0.1:0/", { handler });
  const wrong: [HeadersInit, string][] = [
    [{ authorization: "Bearer SECRET\n" + "x" }, '"authorization"'],
    [[["a", "b"], ["cookie", "SECRET\0"]], '"cookie"'],
    [{ "no name": "SECRET" }, '"no name"'],
    [{ upgrade: "SECRET" }, '"upgrade"'],
  ];
  for (const [headers, name] of wrong) {
    const error = await assertRejects(
      () => dial(listener.addr, { headers }),
      TalkError,
      `Cannot send header ${name}`,
    );
    assertEquals([error.code, error.permanent], ["dial-failed", true]);
    assert(!Deno.inspect(error).includes("SECRET"), Deno.inspect(error));
  }
});

Deno.test("dial(): address, headers and protocols may be functions", async () => {
  const requests: (string | null)[][] = [];
  const { promise: port, resolve } = Promise.withResolvers<number>();
  await using _server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: (addr) => resolve(addr.port) },
    serveWebSocket({
      authenticate({ url, headers }) {
        requests.push([
          new URL(url).pathname,
          headers.get("authorization"),
          headers.get("sec-websocket-protocol"),
        ]);
        return true;
      },
      handler,
    }),
  );
  const address = async () => `ws://127.0.0.1:${await port}/room`;
  for (const authorization of ["one", "two"]) {
    await using peer = await dial(address, {
      headers: () => ({ authorization }),
      protocols: () => Promise.resolve(["qtalk"]),
    });
    assertEquals(await peer.call("echo", [1]), 1);
  }
  await using _ = await dialSession(address);
  assertEquals(requests, [
    ["/room", "one", "qtalk"],
    ["/room", "two", "qtalk"],
    ["/room", null, null],
  ]);
});

Deno.test("dial(): rejects with what a function of an option throws", async () => {
  const no = new Error("no token");
  const throws = () => {
    throw no;
  };
  const rejects = () => Promise.reject(no);
  for (const broken of [throws, rejects]) {
    assertStrictEquals(await dial(broken).catch((error) => error), no);
    for (const name of ["headers", "protocols"]) {
      const options = { [name]: broken };
      assertStrictEquals(
        await dial("ws://127.0.0.1:1/", options).catch((error) => error),
        no,
      );
    }
  }
  const error = await assertRejects(
    () => dial((() => undefined) as unknown as () => string),
    TalkError,
    "Cannot use address: undefined is not a string",
  );
  assertEquals([error.code, error.permanent], ["bad-address", true]);
});

Deno.test("dial(): the wait for a function of an option ends with timeout and signal", async () => {
  const never = () => new Promise<string>(() => {});
  using time = new FakeTime();
  const dialing = watch(dial(never, { timeout: 500 }));
  await turn();
  time.tick(500);
  await turn();
  assertEquals(
    (dialing.reason as Error).message,
    'Cannot dial: no connection within 500 ms (option "timeout")',
  );
  for (
    const [address, headers] of [
      [never, undefined],
      ["ws://127.0.0.1:1/", never as () => Promise<never>],
    ] as const
  ) {
    for (const isAtOnce of [true, false]) {
      const controller = new AbortController();
      const { signal } = controller;
      const aborted = dial(address, { signal, headers })
        .catch((reason) => reason);
      if (!isAtOnce) await turn();
      controller.abort("enough");
      assertEquals(await aborted, "enough");
    }
  }
});
