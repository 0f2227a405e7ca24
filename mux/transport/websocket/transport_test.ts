import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { FakeTime } from "../../../tests/support/fake_time.ts";
import { text, utf8 } from "../../../tests/support/wire.ts";
import { turn, until, watch } from "../../../tests/support/within.ts";
import { MuxError } from "../../errors.ts";
import {
  MAX_BUFFERED,
  MAX_MESSAGE,
  type WebSocketLike,
  webSocketTransport,
} from "./transport.ts";

/** A WebSocket that a test controls. */
class FakeSocket extends EventTarget implements WebSocketLike {
  binaryType = "blob";
  readyState = 1;
  #buffered = 0;
  /** How often `bufferedAmount` was read. */
  checks = 0;
  sent: Uint8Array[] = [];
  closed: unknown[] = [];

  get bufferedAmount(): number {
    this.checks++;
    return this.#buffered;
  }

  set bufferedAmount(bytes: number) {
    this.#buffered = bytes;
  }

  send(data: Uint8Array): void {
    this.sent.push(data.slice());
    this.#buffered += data.length;
  }

  close(code?: number): void {
    if (this.readyState < 2) this.closed.push(code);
    this.readyState = 2;
  }

  open(): void {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }

  message(data: unknown): void {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  ended(code: number, reason = "", said = ""): void {
    this.readyState = 3;
    if (said) this.dispatchEvent(new ErrorEvent("error", { message: said }));
    this.dispatchEvent(new CloseEvent("close", { code, reason }));
  }
}

function setUp() {
  const socket = new FakeSocket();
  return { socket, transport: webSocketTransport(socket) };
}

Deno.test("webSocketTransport: reads messages in order, including early ones", async () => {
  const { socket, transport } = setUp();
  assertEquals(socket.binaryType, "arraybuffer");
  socket.message(utf8("one").buffer);
  socket.message(utf8("two").buffer);
  assertEquals(text((await transport.read())!), "one");
  assertEquals(text((await transport.read())!), "two");
  const reading = transport.read();
  socket.message(utf8("three").buffer);
  assertEquals(text((await reading)!), "three");
});

Deno.test("webSocketTransport: write() sends one message, or several if it is large", async () => {
  const { socket, transport } = setUp();
  await transport.write(utf8("small"));
  socket.bufferedAmount = 0;
  const writing = transport.write(new Uint8Array(2 * MAX_MESSAGE + 1));
  await until(() => socket.sent.length >= 4, "four messages", () => {
    socket.bufferedAmount = 0;
    return turn();
  });
  await writing;
  assertEquals(
    socket.sent.map(({ length }) => length),
    [5, MAX_MESSAGE, MAX_MESSAGE, 1],
  );
});

Deno.test("webSocketTransport: write() waits until the socket is open", async () => {
  const socket = new FakeSocket();
  socket.readyState = 0;
  const transport = webSocketTransport(socket);
  const writing = transport.write(utf8("soon"));
  const closing = transport.closeWrite();
  await turn();
  assertEquals([socket.sent.length, socket.closed], [0, []]);
  socket.open();
  await writing;
  await closing;
  assertEquals(text(socket.sent[0]!), "soon");
  assertEquals(socket.closed, [1000]);
});

Deno.test("webSocketTransport: write() waits for a full socket, and checks it less and less often", async () => {
  using time = new FakeTime(1);
  const { socket, transport } = setUp();
  socket.bufferedAmount = MAX_BUFFERED;
  const writing = watch(transport.write(new Uint8Array(1)));
  await Promise.resolve();
  const before = socket.checks;
  for (let ms = 0; ms < 1_000; ms++) {
    time.tick(1);
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
  }
  assertEquals(writing.state, "pending");
  const checks = socket.checks - before;
  assert(checks >= 50 && checks <= 70, `${checks} checks in a second`);
  socket.bufferedAmount = MAX_BUFFERED;
  time.tick(16);
  for (let i = 0; i < 5; i++) await Promise.resolve();
  assertEquals(writing.state, "resolved");
  assertEquals(time.waiting, 0);
});

Deno.test("webSocketTransport: a pending write checks the socket when a message arrives", async () => {
  using time = new FakeTime(1);
  const { socket, transport } = setUp();
  socket.bufferedAmount = 2 * MAX_BUFFERED;
  const writing = watch(transport.write(new Uint8Array(1)));
  await Promise.resolve();
  socket.bufferedAmount = 0;
  socket.message(new ArrayBuffer(1));
  for (let i = 0; i < 5; i++) await Promise.resolve();
  assertEquals(writing.state, "resolved");
  assertEquals(time.waiting, 0);
});

Deno.test("webSocketTransport: a pending write ends with the socket", async () => {
  const { socket, transport } = setUp();
  socket.bufferedAmount = 2 * MAX_BUFFERED;
  const writing = transport.write(new Uint8Array(1));
  await turn();
  socket.ended(1006);
  await writing;
  await assertRejects(
    () => transport.write(new Uint8Array(1)),
    Error,
    "ended without CLOSE",
  );
});

for (const code of [1000, 1001, 1005, 1012, 1013]) {
  Deno.test(`webSocketTransport: ${code} is a clean end, after what has arrived`, async () => {
    const { socket, transport } = setUp();
    socket.message(utf8("last").buffer);
    socket.ended(code, "with a reason");
    assertEquals(text((await transport.read())!), "last");
    assertEquals(await transport.read(), null);
    assertEquals(await transport.read(), null);
    const error = await assertRejects(
      () => transport.write(new Uint8Array(1)),
      MuxError,
    );
    assertEquals(error.code, "session-closed");
  });
}

Deno.test("webSocketTransport: another status code is an error that has the reason", async () => {
  const faults = [
    [1011, "oops", "", "the peer closed the WebSocket: 1011 oops"],
    [
      4000,
      "\x1b[2J\n",
      "",
      "the peer closed the WebSocket: 4000 \\u001b[2J\\n",
    ],
    [4401, "", "", "the peer closed the WebSocket: 4401"],
    [1006, "", "", "the WebSocket ended without CLOSE"],
    // Deno, when a client is silent for too long, and when it refuses a message.
    [
      1001,
      "",
      "No response from ping frame.",
      "ended without CLOSE: No response",
    ],
    [0, "", "Frame too large", "ended without CLOSE: Frame too large"],
  ] as const;
  for (const [code, reason, said, message] of faults) {
    const { socket, transport } = setUp();
    const reading = transport.read();
    socket.ended(code, reason, said);
    await assertRejects(() => reading, Error, message);
    await assertRejects(() => transport.read(), Error, message);
  }
});

Deno.test("webSocketTransport: text is a protocol error, and the peer gets CLOSE", async () => {
  for (const data of ["{}", new Blob(["{}"])]) {
    const { socket, transport } = setUp();
    socket.message(utf8("bytes").buffer);
    socket.message(data);
    socket.message(utf8("more").buffer);
    assertEquals(text((await transport.read())!), "bytes");
    const error = await assertRejects(
      () => transport.read(),
      MuxError,
      "received a text message, where all are binary",
    );
    assertEquals(error.code, "protocol-error");
    const closing = transport.close();
    assertEquals(socket.closed, [4002]);
    socket.ended(4002);
    await closing;
  }
});

Deno.test("webSocketTransport: a text message stays the error if CLOSE follows at once", async () => {
  const { socket, transport } = setUp();
  const reading = transport.read();
  socket.message("hello\n");
  socket.message(utf8("more").buffer);
  socket.ended(1000);
  await assertRejects(
    () => reading,
    MuxError,
    'received a text message, where all are binary: "hello\\n" looks like text',
  );
  await transport.close();
});

Deno.test("webSocketTransport: close() ends reading and waits for the peer's CLOSE", async () => {
  const { socket, transport } = setUp();
  const reading = transport.read();
  const closing = watch(Promise.resolve(transport.close()));
  assertEquals(socket.closed, [1000]);
  assertEquals(await reading, null);
  assertEquals(closing.state, "pending");
  socket.ended(1000);
  await turn();
  assertEquals(closing.state, "resolved");
  await transport.close();
});

Deno.test("webSocketTransport: close() waits for at most a second", async () => {
  using time = new FakeTime();
  const { transport } = setUp();
  const closing = watch(Promise.resolve(transport.close()));
  time.tick(999);
  await turn();
  assertEquals(closing.state, "pending");
  time.tick(1);
  await turn();
  assertEquals(closing.state, "resolved");
});

Deno.test("webSocketTransport: an error event before the socket is open ends it", async () => {
  const socket = new FakeSocket();
  socket.readyState = 0;
  const transport = webSocketTransport(socket);
  const outcomes = Promise.allSettled([
    transport.read(),
    transport.write(utf8("x")),
  ]);
  // Node dispatches no close event in this case.
  socket.dispatchEvent(new ErrorEvent("error", { message: "refused" }));
  for (const outcome of await outcomes) {
    assertEquals(outcome.status, "rejected");
    assertStringIncludes(
      String((outcome as PromiseRejectedResult).reason),
      "refused",
    );
  }
  await transport.close();
});
