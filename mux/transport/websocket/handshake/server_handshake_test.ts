import { assert, assertEquals, assertMatch } from "@std/assert";
import { ScriptedClient } from "../../../../tests/support/websocket_wire.ts";
import { text } from "../../../../tests/support/wire.ts";
import { within } from "../../../../tests/support/within.ts";
import { memoryTransports } from "../../memory.ts";
import type { RequestRules } from "./request_rules.ts";
import { acceptHandshake } from "./server_handshake.ts";

/** The fields of a request of RFC 6455, section 1.3. */
const FIELDS = {
  host: "server.example.com",
  upgrade: "websocket",
  connection: "Upgrade",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-version": "13",
};

/** A request with these fields in place of others; null leaves one out. */
function request(
  fields: Record<string, string | null> = {},
  start = "GET /chat HTTP/1.1",
): string {
  const lines = Object.entries({ ...FIELDS, ...fields })
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${value}`);
  return [start, ...lines, "", ""].join("\r\n");
}

/** What a request is answered with, and what is left of its bytes. */
async function answerTo(
  bytes: string,
  rules: RequestRules = { path: "/chat" },
  remoteHost = "192.0.2.1",
): Promise<{ answer: string; early: string | undefined }> {
  const [near, far] = memoryTransports();
  const client = new ScriptedClient(far);
  client.send(bytes);
  const shaking = acceptHandshake(near, { remoteHost, rules });
  const answer = await within(client.request(), "an answer");
  if (!answer.startsWith("HTTP/1.1 101 ")) await client.end();
  const early = await shaking;
  await near.close();
  await client.end();
  return { answer, early: early && text(early) };
}

async function statusOf(
  ...args: Parameters<typeof answerTo>
): Promise<number> {
  const { answer } = await answerTo(...args);
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
}

Deno.test("acceptHandshake: answers the request of RFC 6455, section 1.3", async () => {
  const { answer, early } = await answerTo(request());
  assertEquals(answer.split("\r\n"), [
    "HTTP/1.1 101 Switching Protocols",
    "upgrade: websocket",
    "connection: Upgrade",
    "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
  ]);
  assertEquals(early, "");
});

Deno.test("acceptHandshake: returns the first frames that came with the request", async () => {
  const { early } = await answerTo(request() + "frames");
  assertEquals(early, "frames");
});

Deno.test("acceptHandshake: takes the headers as browsers and proxies write them", async () => {
  for (
    const fields of [
      { connection: "keep-alive, Upgrade", upgrade: "WebSocket" },
      { "sec-websocket-extensions": "permessage-deflate" },
      { "sec-websocket-protocol": "chat" },
      { "content-length": "0" },
      { origin: "http://server.example.com" },
    ]
  ) {
    assertEquals(await statusOf(request(fields)), 101, JSON.stringify(fields));
  }
  for (
    const start of [
      "GET /chat?token=1 HTTP/1.1",
      "GET http://server.example.com/chat HTTP/1.1",
    ]
  ) assertEquals(await statusOf(request({}, start)), 101, start);
});

const REFUSED: Record<string, [number, string, RequestRules?, string?]> = {
  "for another path": [404, request({}, "GET /other HTTP/1.1")],
  "for no WebSocket": [426, request({ upgrade: null, connection: null })],
  "of another version": [426, request({ "sec-websocket-version": "8" })],
  "of a page from elsewhere": [403, request({ origin: "http://a.example" })],
  "with a foreign Host over loopback": [
    403,
    request(),
    { path: "/chat" },
    "127.0.0.1",
  ],
  "without Host": [400, request({ host: null })],
  "without a key": [400, request({ "sec-websocket-key": null })],
  "with a short key": [400, request({ "sec-websocket-key": "c2hvcnQ=" })],
  "without Connection": [400, request({ connection: "close" })],
  "by POST": [400, request({}, "POST /chat HTTP/1.1")],
  "of HTTP/1.0": [400, request({}, "GET /chat HTTP/1.0")],
  "with a body": [400, request({ "content-length": "5" })],
  "with a body in chunks": [400, request({ "transfer-encoding": "chunked" })],
  "with a malformed header": [400, request({ "a b": "c" })],
  "without a first line": [400, request({}, "hello")],
  "for no URL": [400, request({}, "GET chat HTTP/1.1")],
  "of TLS": [400, "\x16\x03\x01\r\n\r\n"],
  "with more than 16 KiB of headers": [431, request({ x: "x".repeat(20_000) })],
};

for (const [what, [status, bytes, rules, host]] of Object.entries(REFUSED)) {
  Deno.test(`acceptHandshake: a request ${what} is answered with ${status}`, async () => {
    const { answer, early } = await answerTo(bytes, rules, host);
    assertMatch(answer, new RegExp(`^HTTP/1\\.1 ${status} \\w+`));
    assertMatch(answer, /^connection: close$/m);
    if (status === 426) {
      assertMatch(answer, /^sec-websocket-version: 13$/m);
      assertMatch(answer, /^upgrade: websocket$/m);
    }
    assertEquals(early, undefined);
  });
}

Deno.test("acceptHandshake: reads on after a refusal, so that the answer is not lost", async () => {
  const [near, far] = memoryTransports();
  const shaking = acceptHandshake(near, {
    remoteHost: "",
    rules: { path: "/other" },
  });
  const client = new ScriptedClient(far);
  client.send(request());
  // What is not read would reset the connection.
  client.send("body");
  assertMatch(await client.request(), /^HTTP\/1\.1 404 /);
  assertMatch(await client.rest(), /Not Found\n$/);
  await client.end();
  assertEquals(await shaking, undefined);
});

Deno.test("acceptHandshake: a refused client that sends without end is not listened to", async () => {
  const [near, far] = memoryTransports();
  const shaking = acceptHandshake(near, { remoteHost: "", rules: {} });
  const client = new ScriptedClient(far);
  client.send("nonsense\r\n\r\n");
  assertMatch(await client.request(), /^HTTP\/1\.1 400 /);
  let sent = 0;
  const sending = (async () => {
    for (; sent < 1_000; sent++) await far.write(new Uint8Array(16 * 1024));
  })();
  assertEquals(await within(shaking, "the handshake to end"), undefined);
  await near.close();
  await sending.catch(() => {});
  assert(sent < 100, `${sent} chunks were read`);
});

Deno.test("acceptHandshake: a connection that ends without a request is no WebSocket", async () => {
  const [near, far] = memoryTransports();
  await far.closeWrite();
  assertEquals(
    await acceptHandshake(near, { remoteHost: "", rules: {} }),
    undefined,
  );
});
