// Mistakes in setting up: each says at once what to write instead.

import {
  dial,
  dialCommand,
  type DialOptions,
  type Handler,
  handlerFrom,
  listen,
  type ListenOptions,
  memoryPair,
  memoryTransports,
  Peer,
  qmux,
  RemoteError,
  TalkError,
} from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { makeAuthority } from "../tests/support/certificates.ts";
import { test } from "../tests/support/harness.ts";

class Account {
  balance() {
    return 1;
  }
}

/** What is given for a handler by mistake, and what to write. */
const NO_HANDLERS: [handler: unknown, advice: string][] = [
  [Account, "write handlerFrom(new Account())"],
  [new Account(), "write handlerFrom(object)"],
  [{ balance: () => 1 }, "write handlerFrom(object)"],
  [(a: number, b: number, c: number) => a + b + c, "write handlerFrom(fn)"],
  [Promise.resolve(() => {}), "await it"],
  [null, "neither a function nor an object with respond()"],
  ["balance", "neither a function nor an object with respond()"],
];

/** What takes a handler. */
const TAKES_HANDLER: Record<string, (handler: Handler) => unknown> = {
  "dial()": (handler) => dial("tcp://127.0.0.1:1", { handler }),
  "dial({ reconnect })": (handler) =>
    dial("tcp://127.0.0.1:1", { handler, reconnect: {} }),
  "dialCommand()": (handler) =>
    dialCommand(new Deno.Command("no-such-program"), { handler }),
  "listen()": (handler) => listen("tcp://127.0.0.1:0", { handler }),
  "memoryPair()": (handler) => memoryPair({}, { handler }),
  "serveWebSocket()": (handler) => serveWebSocket({ handler }),
  "new Peer()": async (handler) => {
    const [session, other] = memoryTransports().map((end) => qmux(end));
    try {
      return new Peer(session!, { handler });
    } finally {
      await Promise.all([session!.close(), other!.close()]);
    }
  },
};

for (const [name, take] of Object.entries(TAKES_HANDLER)) {
  Deno.test(`handler option: ${name} refuses what is no handler, and says what to write`, async () => {
    for (const [handler, advice] of NO_HANDLERS) {
      let error: unknown;
      try {
        await take(handler as Handler);
      } catch (refusal) {
        error = refusal;
      }
      assertInstanceOf(error, TypeError);
      assert(
        error.message.startsWith('Cannot use option "handler": '),
        error.message,
      );
      assert(error.message.includes(advice), error.message);
    }
  });
}

Deno.test("codec option: what is no codec is refused, and the error says what to write", () => {
  const wrong = { encode: () => {} } as never;
  for (const codec of [handlerFrom as never, wrong, "json" as never]) {
    assertThrows(() => memoryPair({ codec }), TypeError, "write json()");
    assertThrows(() => memoryPair({ codecs: [codec] }), TypeError, '"codecs"');
  }
});

test("peer.handle(): a function of a service in place of a handler is a TypeError for its caller and for onError", async (t) => {
  const errors: unknown[] = [];
  const [client, server] = t.pair({}, {
    onError: (error, { selector }) => errors.push(error, selector),
  });
  const functions = [
    (a: number, b: number) => a + b,
    (name: string) => Promise.resolve(`Hello, ${name}`),
    () => null,
    () => false,
  ];
  for (const [i, fn] of functions.entries()) {
    server.handle(`f${i}`, fn as unknown as Handler);
    const error = await assertRejects(
      () => client.call(`f${i}`, [1, 2]),
      RemoteError,
    );
    assert(error.text.includes("write handlerFrom(fn)"), error.text);
    assertEquals(error.remoteName, "TypeError");
    const [reported, selector] = errors.splice(0);
    assertInstanceOf(reported, TypeError);
    assertEquals(selector, `/f${i}`);
  }
  server.handle("void", () => {});
  server.handle("later", async () => await Promise.resolve());
  assertEquals(await client.call("void"), null);
  assertEquals(await client.call("later"), null);
  assertEquals(errors, []);
});

test("peer.handle(): after close() it is a TypeError that says what to write", async (t) => {
  const [client, server] = t.pair();
  await server.close();
  assertThrows(
    () => server.handle("a.b", () => {}),
    TypeError,
    "call handle() before close()",
  );
  // Not its own doing: the other side may leave at any moment.
  await client.closed;
  client.handle("a.b", () => {});
});

Deno.test("reconnecting peer.handle(): after close() it is a TypeError that says what to write", async () => {
  await using listener = await listen("tcp://127.0.0.1:0");
  const peer = await dial(listener.addr, { reconnect: {} });
  await peer.close();
  assertThrows(
    () => peer.handle("a.b", () => {}),
    TypeError,
    "call handle() before close()",
  );
});

/** Addresses with secrets that cannot be dialed, for one reason or another. */
const SECRET_ADDRESSES = [
  "ws://127.0.0.1:1/rpc?token=SECRET",
  "ws://me:SECRET@127.0.0.1:1/",
  "wss://127.0.0.1:1/?a=b&key=SECRET",
  "ws://127.0.0.1:1/#SECRET",
  "tcp://me:SECRET@127.0.0.1:1",
  "tcp://127.0.0.1:1?token=SECRET",
  "http://me:SECRET@127.0.0.1:1/?token=SECRET",
  "me:SECRET@127.0.0.1:1",
  "ws://[::1/?token=SECRET",
  "ws://127.0.0.1:999999/?token=SECRET",
];

for (const address of SECRET_ADDRESSES) {
  Deno.test(`dial(): errors do not have the secret of ${address}`, async () => {
    for (
      const use of [
        () => dial(address, { timeout: Infinity }),
        () => dial(address, { timeout: 0 }),
        () =>
          dial(address, { timeout: Infinity, reconnect: { maxAttempts: 1 } }),
        () => listen(address.replace("127.0.0.1:1", "192.0.2.1:1")),
      ]
    ) {
      const error = await use().then(() => undefined, (error) => error);
      const all = Deno.inspect(error, { depth: 10 });
      assert(error instanceof Error);
      assertEquals(all.includes("SECRET"), false, all);
    }
  });
}

Deno.test("dial(): errors do not have the values of headers", async () => {
  await using listener = await listen("ws://127.0.0.1:0/");
  const error = await assertRejects(() =>
    dial(listener.addr, {
      timeout: Infinity,
      headers: { authorization: "Bearer SECRET\nx" },
    })
  );
  assertEquals(Deno.inspect(error).includes("SECRET"), false);
});

/** Makes sure that an option without an effect is refused, by default for good. */
async function refuses(
  making: Promise<AsyncDisposable>,
  verb: "dial" | "listen",
  message: string,
  permanent = true,
): Promise<void> {
  const error = await assertRejects(() => making, TalkError, message);
  assertEquals([error.code, error.permanent], [`${verb}-failed`, permanent]);
  assertInstanceOf(error.cause, TypeError);
}

Deno.test("dial(): an option that has no effect at the address is refused", async () => {
  const pin = "ab".repeat(32);
  const endpoint = {} as never;
  const cases: [string, DialOptions, string][] = [
    ["tcp://h:1", { tls: { pin } }, '"tls" is for tls:, wss:'],
    ["TCP://h:1", { tls: () => ({ pin }) }, '"tls" is for tls:, wss:'],
    ["ws://h:1/", { tls: { pin } }, '"tls" is for tls:, wss:'],
    ["unix:/s", { tls: {} }, '"tls" is for tls:, wss:, quic:, wt: and peer:'],
    ["tls://h:1", { headers: {} }, '"headers" is for ws: and wss: only'],
    ["wt://h:1/", { headers: {} }, '"headers" is for ws: and wss: only'],
    ["tcp://h:1", { protocols: "a" }, '"protocols" is for ws: and wss:'],
    ["ws://h:1/", { endpoint }, '"endpoint" is for quic: and peer: only'],
    ["tls://h:1", { rendezvous: {} }, '"rendezvous" is for peer: only'],
  ];
  for (const [address, options, why] of cases) {
    const message = `Cannot dial "${address}": option ${why}`;
    await refuses(dial(address, options), "dial", message);
    // The next address may be another one.
    await refuses(dial(() => address, options), "dial", message, false);
    const again = { ...options, reconnect: {} };
    await refuses(dial(address, again), "dial", message);
  }
  const several = dial(["tcp://h:1", "unix:/s"], { headers: {} });
  const error = await assertRejects(() => several, TalkError, '"headers" is');
  assertEquals(error.permanent, true);
  const resume = { addresses: ["unix:/s"] };
  const continued = dial("tcp://h:1", { tls: { pin }, resume });
  await refuses(continued, "dial", '"tls" is for tls:');
});

Deno.test("dial(): an option may be for one of several addresses", async () => {
  await using listener = await listen("tcp://127.0.0.1:0");
  const addresses = ["ws://127.0.0.1:1/", listener.addr];
  await using peer = await dial(addresses, { headers: { a: "b" } });
  assertEquals(peer.addr, listener.addr);
  await using resuming = await listen("tcp://127.0.0.1:0", { resume: {} });
  await using session = await dial(resuming.addr, {
    resume: { addresses: ["ws://127.0.0.1:1/"] },
    headers: { a: "b" },
  });
  assertEquals(session.addr, resuming.addr);
});

Deno.test("listen(): an option that has no effect at the address is refused", async () => {
  const tls = { cert: "", key: "" };
  const cases: [string, ListenOptions, string][] = [
    ["tcp://h:1", { tls }, '"tls" is for tls:, wss:, quic:, wt: and peer:'],
    ["ws://h:1/", { tls }, '"tls" is for tls:, wss:, quic:, wt: and peer:'],
    ["tcp://h:1", { origins: "*" }, '"origins" is for ws: and wss: only'],
    ["wt://h:1/", { tls, origins: "*" }, '"origins" is for ws: and wss:'],
    ["tls://h:1", { tls, hosts: [] }, '"hosts" is for ws:, wss: and wt: only'],
    [
      "wt://h:1/",
      { tls, endpoint: {} as never },
      '"endpoint" is for quic: and',
    ],
    ["tcp://h:1", { plainStreams: true }, '"plainStreams" is for quic: only'],
    ["tcp://h:1", { rendezvous: {} }, '"rendezvous" is for peer: only'],
    ["stdio:", { reusePort: true }, '"reusePort" is for tcp:, tls:, ws: and'],
    ["unix:x", { reusePort: true }, '"reusePort" is for tcp:, tls:, ws: and'],
  ];
  for (const [address, options, why] of cases) {
    const message = `Cannot listen on "${address}": option ${why}`;
    await refuses(listen(address, options), "listen", message);
  }
  await using listener = await listen("tcp://127.0.0.1:0", {
    reusePort: false,
    tls: undefined,
  });
  assert(listener.addr.startsWith("tcp:"));
});

Deno.test("listen(): reusePort without the flag of Deno is an error, and the process goes on", async () => {
  const library = JSON.stringify(new URL("../mod.ts", import.meta.url).href);
  const program = `
    import { listen } from ${library};
    for (const address of ["tcp://127.0.0.1:0", "ws://127.0.0.1:0"]) {
      await listen(address, { reusePort: true }).catch((error) => {
        console.log(error.code, error.message.split(": ")[1]);
      });
    }`;
  // The configuration of this repository has the flag.
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", program],
    stderr: "inherit",
  }).output();
  const line =
    'listen-failed option "reusePort" needs the flag --unstable-net of Deno\n';
  assertEquals(new TextDecoder().decode(stdout), line + line);
});

Deno.test("listen(): several listeners with reusePort have one port, over tls: without any flag", async () => {
  const ca = await makeAuthority("test authority");
  const tls = await ca.issue("CN=server", { names: ["localhost"] });
  const options = { tls, reusePort: true };
  await using first = await listen("tls://127.0.0.1:0", options);
  await using second = await listen(first.addr, options);
  assertEquals(second.addr, first.addr);
  const error = await assertRejects(
    () => listen(first.addr, { tls }),
    TalkError,
  );
  assertEquals(error.code, "listen-failed");
});
