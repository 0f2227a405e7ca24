/** What is at the other end is no peer: its first bytes tell, and the error says so. */
import {
  dial,
  dialCommand,
  listen,
  MuxError,
  type Peer,
  qmux,
  TalkError,
} from "@qtalk/qtalk";
import { memoryTransports } from "@qtalk/qtalk/mux";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "../support/harness.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { utf8 } from "../support/wire.ts";
import { within } from "../support/within.ts";

/** First bytes, what the error quotes of them, and what it calls them. */
const FIRST_BYTES: [string | number[], quoted: string, what: string][] = [
  ["HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 400 Bad", "an HTTP server"],
  ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / HTTP/1.1\\r", "an HTTP client"],
  ["SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_9.6\\r\\n", "SSH"],
  [[0x15, 3, 3, 0, 2, 2, 70], "\\x15\\x03\\x03\\x00\\x02\\x02F", "TLS"],
  ["220 mail.example ESMTP\r\n", "220 mail.example", "a server of SMTP"],
  ["-ERR unknown command\r\n", "-ERR unknown command", "Redis"],
  [
    "j\0\0\0\n5.5.5-10.11-MariaDB",
    "j\\x00\\x00\\x00\\x0a5.5",
    "a MySQL server",
  ],
  ["E\0\0\0\x8aSFATAL\0", "E\\x00\\x00\\x00\\x8aSFATAL", "a PostgreSQL server"],
  ['{"jsonrpc":"2.0"}\n', '{"jsonrpc":"2.0"}\\n', "JSON"],
  // Letters that are types of frames, one after the other.
  ["debug: listening on port 80\n", "debug: listening on", "text"],
  ["dog", "dog", "text"],
  ["error: no such file\n", "error: no such file\\n", "text"],
  ["fatal: not a git repository\n", "fatal: not a git", "text"],
  ["got it\n", "got it\\n", "text"],
  ["hi there\n", "hi there\\n", "text"],
  ["info\n", "info\\n", "text"],
  ["just a moment, please\n", "just a moment", "text"],
  ["our log\n", "our log\\n", "text"],
  [[0, 1, 2, 0xff, 0xc8], "\\x00\\x01\\x02\\xff\\xc8", "binary data"],
];

/** Bytes, each written as a character or a number. */
function bytesOf(first: string | number[]): Uint8Array {
  return Uint8Array.from(
    typeof first === "string"
      ? Array.from(first, (char) => char.charCodeAt(0))
      : first,
  );
}

for (const [first, quoted, what] of FIRST_BYTES) {
  for (const chunks of ["at once", "byte by byte"]) {
    const name = JSON.stringify(first).slice(0, 40);
    test(`other protocols: the error quotes ${name}, ${chunks}, and says what it looks like`, async () => {
      const [left, right] = memoryTransports();
      const session = qmux(left);
      const raw = new RawPeer(right);
      const bytes = bytesOf(first);
      const sending = (chunks === "at once"
        ? raw.send(bytes)
        : raw.sendEach(Array.from(bytes, (byte) =>
          new Uint8Array([byte]))))
        .catch(() => {}).then(() => raw.end()).catch(() => {});
      const error = await assertRejects(
        () => within(session.closed, "closed"),
        MuxError,
      );
      const { code, message } = error;
      assert(["protocol-error", "connection-lost"].includes(code), code);
      // Of what comes in bytes, more need not have come, and what was taken for a
      // frame is gone.
      if (chunks === "at once") {
        assert(message.includes(`"${quoted}`), message);
        assert(message.includes(what), message);
      }
      await sending;
      await session.close();
      await raw.close();
    });
  }
}

test("other protocols: what is quoted is bounded, and without control characters", async () => {
  const [left, right] = memoryTransports();
  const session = qmux(left);
  const raw = new RawPeer(right);
  const sending = raw.send(utf8("\x1b[2J\r\n" + "x".repeat(100_000)));
  const { message } = await assertRejects(() => session.closed, MuxError);
  assert(message.length < 300, message);
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x1f]/.test(message), message);
  await sending;
  await session.close();
  await raw.close();
});

/** A TCP server that says something to each connection, and then listens. */
function speaker(words: string, { ends = false, answers = false } = {}) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of listener) {
      try {
        if (answers) await conn.read(new Uint8Array(1_024));
        await conn.write(utf8(words));
        if (ends) await conn.closeWrite();
        while (await conn.read(new Uint8Array(1_024)) !== null);
      } catch {
        // The client has reset the connection.
      }
      conn.close();
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

test("other protocols: dial() of tcp: to a server of HTTP rejects calls with what it looks like", async () => {
  await using server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen() {},
  }, () => new Response("a page"));
  const peer = await dial(`tcp://127.0.0.1:${server.addr.port}`);
  const error = await assertRejects(
    () => within(peer.call("add", [1, 2]), "the call"),
    MuxError,
    '"HTTP/1.1 400 Bad Request',
  );
  assertEquals(error.code, "protocol-error");
  assert(error.message.includes("looks like an HTTP server"), error.message);
  await peer.close();
});

for (
  const [words, what] of [
    ["SSH-2.0-OpenSSH_9.6\r\n", "SSH"],
    ["220 mail.example ESMTP\r\n", "a server of SMTP or FTP"],
    ["+PONG\r\n", "Redis"],
    ["\x15\x03\x03\0\x02\x02F", "TLS"],
    ["HTTP/2 is not here\r\n", "an HTTP server"],
    ["Hello", "text"],
    ["\0", "binary data"],
  ] as const
) {
  for (const answers of [false, true]) {
    test(`other protocols: dial() of ws: to ${JSON.stringify(words)} fails as soon as ${answers ? "it answers" : "it speaks"}`, async () => {
      await using server = speaker(words, { answers });
      // The server says nothing more, and does not end the connection.
      const error = await assertRejects(
        () =>
          within(
            dial(`ws://127.0.0.1:${server.port}/`, { timeout: Infinity }),
            "dial()",
          ),
        TalkError,
        "the server does not speak HTTP/1.1: ",
      );
      assertEquals([error.code, error.permanent], ["dial-failed", true]);
      assert(error.message.includes(`looks like ${what}`), error.message);
    });
  }
}

test("other protocols: dial() of ws: to a qmux listener says that it does not speak HTTP", async (t) => {
  const errors: string[] = [];
  const listener = t.watch(
    await listen("tcp://127.0.0.1:0", {
      onError: (error) => errors.push((error as Error).message),
    }),
  );
  const address = listener.addr.replace("tcp:", "ws:");
  await assertRejects(
    () => within(dial(address), "dial()"),
    TalkError,
    "may not speak HTTP",
  );
  // Its own error says who came.
  assertEquals(errors.length, 1);
  assert(errors[0]!.includes('"GET / HTTP/1.1\\r\\n'), errors[0]);
  assert(errors[0]!.includes("looks like an HTTP client"), errors[0]);
});

test("other protocols: a client of HTTP at a tcp: listener is reported to onError", async (t) => {
  const reported = Promise.withResolvers<unknown>();
  const listener = t.watch(
    await listen("tcp://127.0.0.1:0", {
      onError: (error) => reported.resolve(error),
    }),
  );
  await assertRejects(() => fetch(listener.addr.replace("tcp:", "http:")));
  const { message } = await within(reported.promise, "onError") as Error;
  assert(message.includes("for WebSockets, listen on ws:"), message);
});

test("other protocols: a qmux client at a ws: listener is answered at once, and knows by what", async (t) => {
  const listener = t.watch(
    await listen("ws://127.0.0.1:0/rpc", { handler: () => {} }),
  );
  const { host } = new URL(listener.addr);
  const peer = await dial(`tcp://${host}`);
  const error = await assertRejects(
    () => within(peer.call("add", [1, 2]), "the call"),
    MuxError,
    '"HTTP/1.1 400 Bad Request',
  );
  assert(
    error.message.includes("if it accepts WebSockets, dial ws:"),
    error.message,
  );
  await peer.close();
});

test("other protocols: TLS at a ws: listener is answered at once", async (t) => {
  const listener = t.watch(await listen("ws://127.0.0.1:0/"));
  const { host } = new URL(listener.addr);
  const error = await assertRejects(
    () => within(dial(`wss://${host}/`, { timeout: Infinity }), "dial()"),
    TalkError,
  );
  assertEquals([error.code, error.permanent], ["dial-failed", true]);
});

/** The program of a child that logs to stdout where it should not. */
function logging(before: string, inCall = ""): Peer {
  const library = import.meta.resolve("../../mod.ts");
  return dialCommand(Deno.execPath(), {
    args: [
      "eval",
      `import { dial, handlerFrom } from ${JSON.stringify(library)};
       ${before};
       const peer = await dial("stdio:", {
         handler: handlerFrom({ add: (a, b) => { ${inCall}; return a + b; } }),
       });
       await peer.closed.catch(() => {});`,
    ],
  });
}

const LOGGING: Record<string, [before: string, inCall: string]> = {
  "before it connects": ['console.log("our log")', ""],
  "in a line that begins as a frame does": ['console.log("done")', ""],
  "in a call": ["", 'console.log("our log")'],
  "in a call, in text that begins as a frame does": [
    "",
    'console.log("hello from the handler")',
  ],
  "in colour": ['console.log("\\x1b[32mready\\x1b[0m")', ""],
  "as an object": ["console.log({ a: 1 })", ""],
};

for (const [when, [before, inCall]] of Object.entries(LOGGING)) {
  test(`other protocols: a child that logs to stdout ${when} is an error that says where logs belong`, async () => {
    const peer = logging(before, inCall);
    const error = await assertRejects(
      () => within(peer.call("add", [1, 2]), "the call"),
      MuxError,
      "logs belong on stderr",
    );
    assertEquals(error.code, "protocol-error");
    await peer.close();
  });
}

const echo: (name: string, body: () => Promise<void>) => void =
  Deno.build.os === "windows" ? () => {} : test;

for (const words of ["hi", "hi there", "done", "our log", "x"]) {
  echo(
    `other protocols: \`echo ${words}\` in place of a peer is quoted`,
    async () => {
      const peer = dialCommand("echo", { args: words.split(" ") });
      const { message } = await assertRejects(
        () => within(peer.closed, "closed"),
        MuxError,
        `"${words}\\n" looks like text`,
      );
      assert(message.includes("logs belong on stderr"), message);
      await peer.close();
    },
  );
}
