import { assertEquals, assertRejects } from "@std/assert";
import { forSeeds } from "../../../../tests/support/random.ts";
import {
  agreement,
  ScriptedServer,
} from "../../../../tests/support/websocket_wire.ts";
import { text, utf8 } from "../../../../tests/support/wire.ts";
import { handshake, type HandshakeRequest } from "./client_handshake.ts";
import { memoryTransports } from "../../memory.ts";

/** Runs the handshake with a server whose response `answer` makes. */
async function shake(
  answer: (request: string) => string | Promise<string>,
  part: Partial<HandshakeRequest> = {},
  split: (bytes: Uint8Array) => Uint8Array[] = (bytes) => [bytes],
): Promise<{ request: string; early: string }> {
  const [near, far] = memoryTransports();
  const server = new ScriptedServer(far);
  const url = new URL("ws://example.com:81/a/path?and=query");
  const shaking = handshake(near, { url, ...part });
  const answering = (async () => {
    const request = await server.request();
    for (const piece of split(utf8(await answer(request)))) {
      server.send(piece);
    }
    return request;
  })();
  answering.catch(() => {});
  try {
    const early = text(await shaking);
    void near.read(); // Releases the last write of the server.
    return { request: await answering, early };
  } finally {
    await near.close();
  }
}

/** Makes a response that accepts, after a change. */
function agree(change: (answer: string) => string = (a) => a) {
  return async (request: string) =>
    change(await agreement(request)) + "\r\n\r\n";
}

function header(request: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)$`, "im").exec(request)?.[1]?.trim();
}

Deno.test("handshake: sends the request of RFC 6455, with the server's own origin", async () => {
  const { request } = await shake(agree());
  assertEquals(request.split("\r\n")[0], "GET /a/path?and=query HTTP/1.1");
  assertEquals(header(request, "host"), "example.com:81");
  assertEquals(header(request, "connection"), "Upgrade");
  assertEquals(header(request, "upgrade"), "websocket");
  assertEquals(header(request, "sec-websocket-version"), "13");
  assertEquals(atob(header(request, "sec-websocket-key")!).length, 16);
  assertEquals(header(request, "origin"), "http://example.com:81");
  assertEquals(header(request, "sec-websocket-protocol"), undefined);
});

Deno.test("handshake: the origin for wss: has the scheme https:", async () => {
  const url = new URL("wss://example.com/");
  const { request } = await shake(agree(), { url });
  assertEquals(header(request, "origin"), "https://example.com");
  assertEquals(header(request, "host"), "example.com");
});

Deno.test("handshake: sends headers and protocols", async () => {
  const { request } = await shake(
    agree((a) => `${a}\r\nSec-WebSocket-Protocol: b`),
    {
      headers: { authorization: "Bearer x", origin: "https://elsewhere.org" },
      protocols: ["a", "b"],
    },
  );
  assertEquals(header(request, "authorization"), "Bearer x");
  assertEquals(header(request, "origin"), "https://elsewhere.org");
  assertEquals(header(request, "sec-websocket-protocol"), "a, b");
});

Deno.test("handshake: rejects headers that it sets itself", async () => {
  for (const name of ["Sec-WebSocket-Key", "Upgrade", "connection"]) {
    await assertRejects(
      () => shake(agree(), { headers: { [name]: "x" } }),
      TypeError,
      `Cannot send header "${name.toLowerCase()}": the WebSocket handshake sets it`,
    );
  }
});

Deno.test("handshake: returns the bytes after the response, in whatever chunks it arrives", async () => {
  await forSeeds(20, async (random) => {
    const { early } = await shake(
      async (request) => await agree()(request) + "first bytes",
      {},
      // The last piece has the end of the headers and the bytes after them.
      (bytes) => {
        const head = bytes.length - "first bytes".length - 1;
        return [
          ...random.split(bytes.subarray(0, head), random.pick([1, 5, 50])),
          bytes.subarray(head),
        ];
      },
    );
    assertEquals(early, "first bytes");
  });
});

const REFUSALS: Record<
  string,
  [(r: string) => string | Promise<string>, string]
> = {
  "another status": [
    () => "HTTP/1.1 403 Forbidden\r\nUpgrade: websocket\r\n\r\n",
    "the server answered 403 Forbidden",
  ],
  "a status without a text": [
    () => "HTTP/1.1 503\r\n\r\n",
    "the server answered 503",
  ],
  "another protocol than HTTP": [
    () => "SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "the server does not speak HTTP/1.1",
  ],
  "a response to another key": [
    () => agree()("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    "the server did not accept the WebSocket handshake",
  ],
  "a response without Upgrade": [
    agree((a) => a.replace("Upgrade: websocket\r\n", "")),
    "the server did not accept the WebSocket handshake",
  ],
  "a response without Connection": [
    agree((a) => a.replace("Connection: Upgrade", "Connection: close")),
    "the server did not accept the WebSocket handshake",
  ],
  "an extension": [
    agree((a) => `${a}\r\nSec-WebSocket-Extensions: permessage-deflate`),
    "the server selected an extension that was not offered",
  ],
  "a protocol that was not offered": [
    agree((a) => `${a}\r\nSec-WebSocket-Protocol: chat`),
    'the server selected protocol "chat", which was not offered',
  ],
  "a line that is not a header": [
    agree((a) => `${a}\r\nwhat`),
    "the server's response has a malformed header",
  ],
  "headers without an end": [
    () => `HTTP/1.1 101 Switching Protocols\r\nX: ${"x".repeat(20_000)}`,
    "the server's response has more than 16384 bytes of headers",
  ],
};

for (const [what, [answer, message]] of Object.entries(REFUSALS)) {
  Deno.test(`handshake: rejects ${what}`, async () => {
    await assertRejects(() => shake(answer), Error, message);
  });
}

Deno.test("handshake: rejects if the server ends the connection", async () => {
  const [near, far] = memoryTransports();
  const shaking = handshake(near, { url: new URL("ws://example.com") });
  const server = new ScriptedServer(far);
  await server.request();
  await server.end();
  await assertRejects(() => shaking, Error, "the server ended the connection");
});
