// Mistakes in setting up: each says at once what to write instead.

import {
  dial,
  dialCommand,
  type Handler,
  handlerFrom,
  listen,
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

Deno.test("listen(): reusePort is for TCP ports", async () => {
  for (const address of ["unix:x", "stdio:"]) {
    const error = await assertRejects(
      () => listen(address, { reusePort: true }),
      TalkError,
      'option "reusePort" is for TCP ports only',
    );
    assertEquals([error.code, error.permanent], ["listen-failed", true]);
  }
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
