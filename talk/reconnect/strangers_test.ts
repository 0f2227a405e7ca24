import {
  dial,
  forward,
  handlerFrom,
  type HandlerFunction,
  listen,
  memoryPair,
  MuxError,
  type Peer,
} from "@qtalk/qtalk";
import {
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { rawCall, scriptedPeer } from "../../tests/support/raw_call.ts";
import { until, within } from "../../tests/support/within.ts";

/** Servers that are no peers: what they send first, or after a request. */
const STRANGERS: Record<string, { first?: string; answer?: string }> = {
  "an HTTP server": { answer: "HTTP/1.1 400 Bad Request\r\n\r\n" },
  "an HTTP/2 server": { first: "\0\0\x12\x04\0\0\0\0\0" },
  "an SSH server": { first: "SSH-2.0-OpenSSH_9.6\r\n" },
  "a TLS server": { answer: "\x15\x03\x03\0\x02\x02\x0a" },
  "a mail server": { first: "220 mail.example ESMTP\r\n" },
  "a greeting that begins as a frame does": { first: "hello, who are you?\n" },
  "a frame of no channel": { first: "i\0\0\0\x07" },
};

for (const [what, { first, answer }] of Object.entries(STRANGERS)) {
  Deno.test(`dial() with reconnect: ${what} at the address is not dialed again`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    let connections = 0;
    const serving = (async () => {
      for await (const conn of listener) {
        connections++;
        if (answer !== undefined) await conn.read(new Uint8Array(64));
        const text = first ?? answer!;
        await conn.write(Uint8Array.from(text, (c) => c.charCodeAt(0)));
        for (;;) {
          if (await conn.read(new Uint8Array(64)).catch(() => null) === null) {
            break;
          }
        }
        conn.close();
      }
    })();
    const { port } = listener.addr as Deno.NetAddr;
    const states: string[] = [];
    const peer = await dial(`tcp://127.0.0.1:${port}`, {
      reconnect: { minDelay: 0, onState: ({ name }) => states.push(name) },
    });
    const call = peer.call("x").catch((error) => error);
    const error = await within(
      peer.closed.catch((error) => error),
      "the peer to give up",
    );
    assertInstanceOf(error, MuxError);
    assertEquals(error.code, "protocol-error");
    const failed = await call;
    assertInstanceOf(failed, MuxError);
    assertEquals(failed.code, "protocol-error");
    assertEquals(states, ["connecting", "connected", "closed"]);
    assertEquals(connections, 1);
    await peer.close();
    listener.close();
    await serving;
  });
}

Deno.test("dial() with reconnect: what is no peer is not dialed again when onConnect fails of it", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of listener) {
      await conn.read(new Uint8Array(64));
      await conn.write(new TextEncoder().encode("HTTP/1.1 400 No\r\n\r\n"));
      conn.close();
    }
  })();
  const { port } = listener.addr as Deno.NetAddr;
  const error = await assertRejects(() =>
    dial(`tcp://127.0.0.1:${port}`, {
      reconnect: {
        minDelay: 0,
        async onConnect(peer) {
          await peer.call("join").catch(() => {
            throw new Error("cannot join");
          });
        },
      },
    }), MuxError);
  assertEquals(error.code, "protocol-error");
  listener.close();
  await serving;
});

Deno.test("dial() with reconnect: where a peer was before, what is no peer is dialed again", async () => {
  const handler = handlerFrom({ echo: (value: unknown) => value });
  let listener = await listen("tcp://127.0.0.1:0", { handler });
  const { addr } = listener;
  const waiting: unknown[] = [];
  await using peer = await dial(addr, {
    reconnect: {
      minDelay: 1,
      onState: (state) => {
        if (state.name === "waiting") waiting.push(state.error);
      },
    },
  });
  assertEquals(await peer.call("echo", [1]), 1);
  await listener.close();
  const port = Number(addr.slice(addr.lastIndexOf(":") + 1));
  const proxy = Deno.listen({ hostname: "127.0.0.1", port });
  const serving = (async () => {
    for await (const conn of proxy) {
      await conn.write(new TextEncoder().encode("HTTP/1.1 502 No\r\n\r\n"));
      conn.close();
    }
  })();
  const isStranger = (error: unknown) =>
    error instanceof MuxError && error.code === "protocol-error";
  await until(() => waiting.some(isStranger));
  proxy.close();
  await serving;
  const arrived = Promise.withResolvers<void>();
  listener = await listen(addr, { handler, onPeer: () => arrived.resolve() });
  // A call before that may be sent over one more connection to the proxy.
  await within(arrived.promise, "the peer to be connected again");
  assertEquals(await within(peer.call("echo", [2]), "the call"), 2);
  await peer.close();
  await listener.close();
});

/** Answers each connection to a TCP port; returns what ends that. */
function answerEach(answer: (conn: Deno.TcpConn) => Promise<void>) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Promise<void>[] = [];
  const serving = (async () => {
    for await (const conn of listener) {
      const done = answer(conn).catch(() => {}).then(() => {
        try {
          conn.close();
        } catch {
          // Its streams have closed it.
        }
      });
      conns.push(done);
    }
  })();
  return {
    address: `tcp://127.0.0.1:${listener.addr.port}`,
    get connections() {
      return conns.length;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
      await Promise.all(conns);
    },
  };
}

async function echo(conn: Deno.TcpConn): Promise<void> {
  await conn.readable.pipeTo(conn.writable);
}

async function readAll(conn: Deno.TcpConn): Promise<void> {
  while (await conn.read(new Uint8Array(1_024)) !== null);
}

/** Servers that are no peers, and after how many connections that is known. */
const MUTE_STRANGERS: [
  string,
  (conn: Deno.TcpConn) => Promise<void>,
  number,
][] = [
  ["sends back what it gets", echo, 1],
  ["sends back what it gets, and closes", async (conn) => {
    for (let i = 0; i < 4; i++) {
      const buffer = new Uint8Array(1_024);
      const size = await conn.read(buffer);
      if (size === null) return;
      await conn.write(buffer.subarray(0, size));
    }
  }, 1],
  ...[[1, 2], [104, 105], [100, 101], [0x66, 0x6f]].flatMap((bytes) => [
    [`sends ${bytes} and closes`, async (conn: Deno.TcpConn) => {
      await conn.write(Uint8Array.from(bytes));
      await conn.closeWrite();
      await readAll(conn);
    }, 1] as [string, (conn: Deno.TcpConn) => Promise<void>, number],
  ]),
  ["sends half of a DATA frame and waits", async (conn) => {
    await conn.write(new Uint8Array([104, 1, 0]));
    await readAll(conn);
  }, 1],
  ["begins with a letter that begins an OPEN, and closes", async (conn) => {
    await conn.write(new TextEncoder().encode("d"));
    await conn.closeWrite();
    await readAll(conn);
  }, 2],
  ["sends half of an OPEN and closes", async (conn) => {
    await conn.write(new Uint8Array([100, 0, 0, 0, 0, 0]));
    await conn.closeWrite();
    await readAll(conn);
  }, 2],
];

for (const [what, answer, most] of MUTE_STRANGERS) {
  Deno.test(`dial() with reconnect: a server that ${what} is not dialed for ever`, async () => {
    await using server = answerEach(answer);
    const peer = await dial(server.address, { reconnect: { minDelay: 0 } });
    const calling = peer.call("x").catch((error) => error);
    const error = await within(
      peer.closed.then(() => undefined, (error) => error),
      "giving up",
    );
    assertInstanceOf(error, MuxError);
    assertEquals(server.connections <= most, true, `${server.connections}`);
    if (most === 1) assertEquals(error.code, "protocol-error");
    const called = await within(calling, "the call");
    assertInstanceOf(called, MuxError);
    await peer.close();
  });
}

Deno.test("dial(): a server that sends back what it gets calls no handler twice", async () => {
  await using server = answerEach(echo);
  const seen: string[] = [];
  const peer = await dial(server.address, {
    handler(call, respond) {
      seen.push(call.selector);
      return respond.return();
    },
    onError() {},
  });
  const error = await within(
    peer.call("x").then(() => undefined, (error) => error),
    "the call",
  );
  assertInstanceOf(error, MuxError);
  assertEquals(error.code, "protocol-error");
  assertMatch(error.message, /came back, as from an echo server/);
  assertEquals(seen, []);
  await peer.close();
});

for (
  const [what, start] of [
    ["cannot be encoded", (peer: Peer) => peer.call("x", [Symbol()])],
    ["is given up before it is sent", (peer: Peer) => {
      const stop = new AbortController();
      const call = peer.call("x", [], { signal: stop.signal });
      stop.abort();
      return call;
    }],
  ] as const
) {
  Deno.test(`dial(): a server that sends back what it gets is noticed after a first call that ${what}`, async () => {
    await using server = answerEach(echo);
    const peer = await dial(server.address, { onError() {} });
    await start(peer).catch(() => {});
    const error = await within(peer.call("y").catch((e) => e), "the call");
    assertInstanceOf(error, MuxError);
    assertMatch(error.message, /came back, as from an echo server/);
    await peer.close();
  });
}

Deno.test("dial() with reconnect: a peer that was killed in its first frame is dialed again", async () => {
  let connections = 0;
  const handler = handlerFrom({ echo: (value: unknown) => value });
  await using listener = await listen("tcp://127.0.0.1:0", { handler });
  const port = Number(listener.addr.slice(listener.addr.lastIndexOf(":") + 1));
  await using server = answerEach(async (conn) => {
    if (++connections === 1) {
      await conn.write(new Uint8Array([101, 0, 0, 0]));
      return;
    }
    const other = await Deno.connect({ hostname: "127.0.0.1", port });
    const there = conn.readable.pipeTo(other.writable).catch(() => {});
    await other.readable.pipeTo(conn.writable).catch(() => {});
    await there;
  });
  const peer = await dial(server.address, { reconnect: { minDelay: 0 } });
  for (;;) {
    const answer = await within(
      peer.call("echo", [1]).catch((error) => error),
      "an answer",
    );
    if (answer === 1) break;
    assertInstanceOf(answer, MuxError);
  }
  await peer.close();
});

Deno.test("dial(): a call that is forwarded back to its caller is no echo", async () => {
  const peers: Peer[] = [];
  await using hub = await listen("tcp://127.0.0.1:0", {
    onPeer: (peer) => {
      peers.push(peer);
      peer.handle("", forward(peer));
    },
  });
  await using peer = await dial(hub.addr, {
    handler: handlerFrom({ self: () => "me" }),
  });
  assertEquals(await within(peer.call("self"), "the call"), "me");
});

for (const caller of ["is extended", "is not extended"]) {
  for (const answers of ["forwards", "has no handler"]) {
    Deno.test(`forward(): a gateway to a server that sends back what it gets gives up, if the caller ${caller} and its other direction ${answers}`, async () => {
      await using server = answerEach(echo);
      const [client, front] = memoryPair({}, {});
      let handler!: HandlerFunction;
      await using middle = await dial(server.address, {
        reconnect: {
          minDelay: 0,
          onConnect: (peer) => {
            handler = forward(peer);
          },
        },
        handler: answers === "forwards" ? forward(front) : undefined,
        onError() {},
      });
      front.handle("", (call, respond) => handler(call, respond));
      const { peer, raw } = scriptedPeer({
        handler: (call, respond) => handler(call, respond),
      });
      const called = caller === "is extended"
        ? client.call("x").catch((error) => error.text)
        : rawCall(raw, "x", null).then(async (channel) => {
          const [{ Error: text }] = await channel.read(1) as [
            { Error: string },
          ];
          return text;
        });
      const error = await within(
        middle.closed.then(() => undefined, (error) => error),
        "giving up",
      );
      assertInstanceOf(error, MuxError);
      assertEquals(error.code, "protocol-error");
      assertMatch(error.message, /came back, as from an echo server/);
      assertEquals(server.connections, 1);
      assertMatch(
        String(await within(called, "the call")),
        /^Cannot forward call "\/x": .*came back, as from an echo server/,
      );
      await client.close();
      await peer.close();
    });
  }
}

Deno.test("forward(): a call that comes back through two gateways which dial each other is no echo", async () => {
  const handled: string[] = [];
  await using far = await listen("tcp://127.0.0.1:0", {
    onPeer: (peer) => void peer.handle("", forward(peer)),
  });
  await using middle = await dial(far.addr, {
    handler(call, respond) {
      handled.push(call.selector);
      return respond.return("the gateway's own");
    },
  });
  const [client] = memoryPair({}, { handler: forward(middle) });
  await using _ = client;
  for (let i = 0; i < 2; i++) {
    assertEquals(
      await within(client.call("x"), "the call"),
      "the gateway's own",
    );
  }
  assertEquals(handled, ["/x", "/x"]);
});
