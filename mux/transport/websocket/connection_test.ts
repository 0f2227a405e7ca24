import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ClientFrame,
  ScriptedServer,
  serverFrame,
} from "../../../tests/support/websocket_wire.ts";
import { concat, text, utf8 } from "../../../tests/support/wire.ts";
import { turn, watch, within } from "../../../tests/support/within.ts";
import { MuxError } from "../../errors.ts";
import type { Transport } from "../../types.ts";
import { memoryTransports } from "../memory.ts";
import { webSocketClient } from "./connection.ts";
import { Opcode } from "./frames.ts";

interface Lab {
  client: Transport;
  server: ScriptedServer;
  /** The number of writes to the connection. */
  writes(): number;
}

/** Runs `body` with a client and a scripted server. */
async function withClient(body: (lab: Lab) => Promise<void>): Promise<void> {
  const [near, far] = memoryTransports();
  let writes = 0;
  const counting: Transport = {
    ...near,
    write(bytes) {
      writes++;
      return near.write(bytes);
    },
  };
  const client = webSocketClient(counting, new Uint8Array(0));
  const server = new ScriptedServer(far);
  try {
    const run = body({ client, server, writes: () => writes });
    await within(run, "the test of a client");
  } finally {
    await client.close();
    await server.end();
  }
}

/** Reads until the end. */
async function readAll(transport: Transport): Promise<string> {
  let all = "";
  for (;;) {
    const chunk = await transport.read();
    if (chunk === null) return all;
    all += text(chunk);
  }
}

function described(frame: ClientFrame | undefined): unknown {
  return frame && [frame.opcode, text(frame.payload)];
}

function closeFrame(code: number, reason = ""): Uint8Array {
  const payload = concat(Uint8Array.of(code >> 8, code & 255), utf8(reason));
  return serverFrame(Opcode.CLOSE, payload);
}

Deno.test("webSocketClient: write() sends one binary message in one write", () =>
  withClient(async ({ client, server, writes }) => {
    for (const size of [1, 1_025, 300_000]) {
      const before = writes();
      await client.write(new Uint8Array(size).fill(7));
      assertEquals(writes(), before + 1);
      const { opcode, payload } = (await server.frame())!;
      assertEquals([opcode, payload.length], [Opcode.BINARY, size]);
      assert(payload.every((byte) => byte === 7));
    }
  }));

Deno.test("webSocketClient: write() sends more than 1 MiB in several messages", () =>
  withClient(async ({ client, server }) => {
    const writing = client.write(new Uint8Array(2.5 * 1024 * 1024));
    const sizes: number[] = [];
    for (let i = 0; i < 3; i++) {
      sizes.push(
        (await server.frame())!.payload.length,
      );
    }
    assertEquals(sizes, [2 ** 20, 2 ** 20, 2 ** 19]);
    await writing;
  }));

Deno.test("webSocketClient: read() ignores the boundaries of messages", () =>
  withClient(async ({ client, server }) => {
    const reading = readAll(client);
    server.send(
      serverFrame(Opcode.BINARY, "one,"),
      serverFrame(Opcode.BINARY, "two,", { final: false }),
      serverFrame(Opcode.CONTINUATION, "three"),
      closeFrame(1000),
    );
    assertEquals(await reading, "one,two,three");
  }));

Deno.test("webSocketClient: reads first what arrived with the handshake", async () => {
  const [near] = memoryTransports();
  const client = webSocketClient(near, serverFrame(Opcode.BINARY, "early"));
  assertEquals(text((await client.read())!), "early");
  await client.close();
});

Deno.test("webSocketClient: answers PING with its payload, and an unsolicited PONG with nothing", () =>
  withClient(async ({ client, server }) => {
    void readAll(client);
    server.send(serverFrame(Opcode.PONG, "unsolicited"));
    server.send(serverFrame(Opcode.PING, "still there?"));
    assertEquals(described(await server.frame()), [
      Opcode.PONG,
      "still there?",
    ]);
  }));

Deno.test("webSocketClient: PONG waits for a pending write, and answers the last of several PINGs", async () => {
  const [near, far] = memoryTransports();
  const client = webSocketClient(near, new Uint8Array(0));
  void readAll(client);
  // The server does not read yet.
  const writing = watch(client.write(utf8("slow")));
  for (const word of ["one", "two", "three"]) {
    await far.write(serverFrame(Opcode.PING, word));
  }
  await turn();
  assertEquals(writing.state, "pending");
  const server = new ScriptedServer(far);
  assertEquals(described(await server.frame()), [Opcode.BINARY, "slow"]);
  assertEquals(described(await server.frame()), [Opcode.PONG, "three"]);
  server.send(serverFrame(Opcode.PING, "four"));
  assertEquals(described(await server.frame()), [Opcode.PONG, "four"]);
  await client.close();
  await server.end();
});

Deno.test("webSocketClient: closeWrite() sends CLOSE, and reading continues until the server's CLOSE", () =>
  withClient(async ({ client, server }) => {
    const reading = readAll(client);
    await client.closeWrite();
    const { opcode, payload } = (await server.frame())!;
    assertEquals([opcode, [...payload]], [Opcode.CLOSE, [0x03, 0xe8]]);
    server.send(
      serverFrame(Opcode.BINARY, "the rest"),
      closeFrame(1000),
    );
    assertEquals(await reading, "the rest");
    // CLOSE is sent once.
    await client.closeWrite();
    await client.close();
    assertEquals(await server.frame(), undefined);
  }));

Deno.test("webSocketClient: writes nothing after a CLOSE of either side", () =>
  withClient(async ({ client, server }) => {
    const reading = readAll(client);
    server.send(closeFrame(1000));
    assertEquals(await reading, "");
    const error = await assertRejects(
      () => client.write(utf8("late")),
      MuxError,
    );
    assertEquals(error.code, "session-closed");
    assertEquals((await server.frame())!.opcode, Opcode.CLOSE);
    server.send(serverFrame(Opcode.PING));
    await client.close();
    assertEquals(await server.frame(), undefined);
  }));

for (const code of [1000, 1001, 1012, 1013]) {
  Deno.test(`webSocketClient: CLOSE ${code} is a clean end and is answered`, () =>
    withClient(async ({ client, server }) => {
      const reading = readAll(client);
      server.send(closeFrame(code));
      assertEquals(await reading, "");
      const { opcode, payload } = (await server.frame())!;
      assertEquals(opcode, Opcode.CLOSE);
      assertEquals(payload[0]! << 8 | payload[1]!, code);
    }));
}

Deno.test("webSocketClient: CLOSE without a status code is a clean end and is answered with 1000", () =>
  withClient(async ({ client, server }) => {
    const reading = readAll(client);
    server.send(serverFrame(Opcode.CLOSE));
    assertEquals(await reading, "");
    assertEquals([...(await server.frame())!.payload], [0x03, 0xe8]);
  }));

Deno.test("webSocketClient: CLOSE with another status code is an error that has the reason", () =>
  withClient(async ({ client, server }) => {
    const reading = readAll(client);
    server.send(closeFrame(1009, "too long"));
    await assertRejects(
      () => reading,
      Error,
      "the peer closed the WebSocket: 1009 too long",
    );
  }));

Deno.test("webSocketClient: a connection that ends without CLOSE is an error", () =>
  withClient(async ({ client, server }) => {
    server.send(serverFrame(Opcode.BINARY, "some"));
    assertEquals(text((await client.read())!), "some");
    await server.end();
    await assertRejects(
      () => client.read(),
      Error,
      "the WebSocket ended without CLOSE",
    );
  }));

Deno.test("webSocketClient: a bad frame is an error after what arrived before it, and the server gets CLOSE", () =>
  withClient(async ({ client, server }) => {
    server.send(
      serverFrame(Opcode.BINARY, "good"),
      serverFrame(Opcode.TEXT, "bad"),
    );
    assertEquals(text((await client.read())!), "good");
    const error = await assertRejects(
      () => client.read(),
      MuxError,
      "received a text message",
    );
    assertEquals(error.code, "protocol-error");
    const { opcode, payload } = (await server.frame())!;
    assertEquals([opcode, [...payload]], [Opcode.CLOSE, [0x03, 0xea]]);
  }));

Deno.test("webSocketClient: close() does not wait for the server", () =>
  withClient(async ({ client }) => {
    const reading = watch(readAll(client));
    await client.close();
    while (reading.state === "pending") await turn();
    assertEquals(reading.state, "resolved");
    await client.close();
  }));
