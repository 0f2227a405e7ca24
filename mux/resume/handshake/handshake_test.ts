import { assertEquals, assertRejects } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import { memoryTransports } from "../../transport/memory.ts";
import type { Transport } from "../../types.ts";
import { HandshakeError } from "../errors.ts";
import {
  answerDialer,
  type KnownSessions,
  Refusal,
  resumeSession,
  type SessionSecret,
  startSession,
} from "./handshake.ts";
import { Incoming } from "./incoming.ts";
import {
  decodeAnswerNew,
  encodeFinish,
  encodeHelloNew,
  encodeRefused,
  MAGIC,
  PART,
  SIZE,
  withoutProof,
} from "./messages.ts";
import { makeKeys, prove, random, sessionKey } from "./proofs.ts";

const NONE: KnownSessions = { limit: 1_000, find: () => undefined };

/** Notes what a transport writes, and may change it. */
function tapped(
  transport: Transport,
  change: (bytes: Uint8Array) => void = () => {},
): Transport & { readonly written: Uint8Array[] } {
  const written: Uint8Array[] = [];
  return {
    written,
    read: () => transport.read(),
    write(bytes) {
      change(bytes);
      written.push(bytes.slice());
      return transport.write(bytes);
    },
    closeWrite: () => transport.closeWrite(),
    close: () => transport.close(),
  };
}

/** What arrives until the end. */
async function readAll(transport: Transport): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = await transport.read();
    if (chunk === null) return chunks;
    chunks.push(chunk.slice());
  }
}

/** Begins a session; resolves to what both ends know of it. */
async function begin(): Promise<{ key: SessionSecret; theirs: SessionSecret }> {
  const [left, right] = memoryTransports();
  const [key, answered] = await Promise.all([
    startSession(left, 5_000),
    answerDialer(new Incoming(right), NONE),
  ]);
  void left.close();
  if (answered.kind !== "new") throw new Error("it is no new session");
  assertEquals([key.peerLimit, answered.session.peerLimit], [1_000, 5_000]);
  return { key, theirs: answered.session };
}

/** The sessions of a listener that knows one. */
function knowing({ id, key }: SessionSecret, received: number): KnownSessions {
  return {
    limit: 1_000,
    find: (wanted) =>
      wanted.join() === id.join() ? { key, received } : undefined,
  };
}

test("handshake: a new session: both ends have the same key and offsets", async () => {
  const { key, theirs } = await begin();
  assertEquals(key.id, theirs.id);
  const bytes = new Uint8Array([1, 2, 3]);
  const [a, b] = await Promise.all(
    [key, theirs].map(({ key }) => crypto.subtle.sign("HMAC", key, bytes)),
  );
  assertEquals(new Uint8Array(a!), new Uint8Array(b!));
  const other = await begin();
  assertEquals(other.key.id.join() === key.id.join(), false);
});

test("handshake: a resumed session: each end learns the offset of the other", async () => {
  const { key, theirs } = await begin();
  const [left, right] = memoryTransports();
  const [dialer, listener] = await Promise.all([
    resumeSession(left, { ...key, attempt: 3, received: 77 }),
    answerDialer(new Incoming(right), knowing(theirs, 99)),
  ]);
  void left.close();
  assertEquals([dialer.peerReceived, dialer.stated], [99, 77]);
  if (listener.kind !== "resumed") throw new Error("it is not resumed");
  assertEquals([listener.attempt, listener.id], [3, key.id]);
  const { peerReceived, stated } = listener.connection;
  assertEquals([peerReceived, stated], [77, 99]);
});

test("handshake: a new session of which the dialer claims to have bytes is refused", async () => {
  const [left, right] = memoryTransports();
  const { publicKey, privateKey } = await makeKeys();
  const hello = encodeHelloNew({
    limit: 1,
    nonce: random(PART.nonce),
    publicKey,
  });
  const answered = answerDialer(new Incoming(right), NONE);
  const refused = assertRejects(() => answered, Refusal);
  void left.write(hello);
  const answer = (await left.read())!.slice();
  const messages = [hello, withoutProof(answer)];
  const theirs = decodeAnswerNew(answer).publicKey;
  const key = await sessionKey(privateKey, theirs, messages);
  const finish = encodeFinish(1);
  await prove(key, "dialer", [hello, answer, finish]);
  void left.write(finish);
  const drained = readAll(left);
  await refused;
  void left.close();
  assertEquals(await drained, [encodeRefused()]);
});

test("handshake: a wrong proof of the dialer is refused", async () => {
  const { key, theirs } = await begin();
  const other = await begin();
  const [left, right] = memoryTransports();
  // It knows the ID, as an eavesdropper does, and takes any proof of the listener.
  const line = tapped(left, (bytes) => {
    if (bytes.length === SIZE.finish) bytes[bytes.length - 1]! ^= 1;
  });
  const resumed = resumeSession(line, { ...key, attempt: 1, received: 0 });
  const answered = answerDialer(new Incoming(right), knowing(theirs, 0));
  await resumed;
  const drained = readAll(left);
  await assertRejects(() => answered, Refusal);
  void left.close();
  assertEquals(await drained, [encodeRefused()]);
  // With a key of its own, it does not even believe the listener.
  const [left2, right2] = memoryTransports();
  const strange = { id: key.id, key: other.key.key };
  const attempt = resumeSession(left2, { ...strange, attempt: 1, received: 0 });
  const second = answerDialer(new Incoming(right2), knowing(theirs, 0));
  await assertRejects(() => attempt, HandshakeError, "did not prove");
  void left2.close();
  await assertRejects(() => second, HandshakeError, "ended");
});

test("handshake: a wrong proof of the listener ends the attempt", async () => {
  const { key } = await begin();
  const other = await begin();
  const [left, right] = memoryTransports();
  const impostor = { id: key.id, key: other.theirs.key };
  const answered = answerDialer(new Incoming(right), knowing(impostor, 0));
  await assertRejects(
    () => resumeSession(left, { ...key, attempt: 1, received: 0 }),
    HandshakeError,
    "did not prove that the session is its own",
  );
  void left.close();
  await assertRejects(() => answered, HandshakeError);
});

test("handshake: a recorded handshake is refused when it is replayed", async () => {
  const { key, theirs } = await begin();
  const [left, right] = memoryTransports();
  const line = tapped(left);
  await Promise.all([
    resumeSession(line, { ...key, attempt: 1, received: 0 }),
    answerDialer(new Incoming(right), knowing(theirs, 0)),
  ]);
  void left.close();
  const [hello, finish] = line.written;
  const [again, there] = memoryTransports();
  const answered = answerDialer(new Incoming(there), knowing(theirs, 0));
  const hearing = readAll(again);
  await again.write(hello!);
  void again.write(finish!);
  await assertRejects(() => answered, Refusal);
  void again.close();
  const [, last] = await hearing;
  assertEquals(last, encodeRefused());
});

test("handshake: an unknown session is refused with the message of a wrong proof", async () => {
  const { key } = await begin();
  const [left, right] = memoryTransports();
  const answered = answerDialer(new Incoming(right), NONE);
  await assertRejects(
    () => resumeSession(left, { ...key, attempt: 1, received: 0 }),
    Refusal,
  );
  void left.close();
  await assertRejects(() => answered, Refusal);
});

test("handshake: a session whose last message is lost with the connection has not begun", async () => {
  const [left, right] = memoryTransports();
  const line = tapped(left);
  const { write } = line;
  line.write = async (bytes) => {
    if (bytes.length !== SIZE.finish) return await write(bytes);
    await Promise.all([left.close(), right.close()]);
  };
  const dialed = startSession(line, 1_000);
  const answered = answerDialer(new Incoming(right), NONE);
  await Promise.all([
    assertRejects(() => dialed, HandshakeError, "ended"),
    assertRejects(() => answered, Error),
  ]);
});

test("handshake: the error for a listener that ends without an answer names the option that it may not have", async () => {
  const [left, right] = memoryTransports();
  const dialed = startSession(left, 1_000);
  await right.read();
  await right.close();
  await assertRejects(
    () => dialed,
    HandshakeError,
    'its listener may lack the option "resume"',
  );
});

test("handshake: an end that speaks another protocol is quoted in the error", async () => {
  const [left, right] = memoryTransports();
  const dialed = startSession(left, 1_000);
  await right.read();
  void right.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n"));
  const error = await assertRejects(() => dialed, HandshakeError);
  assertEquals(
    error.message,
    'the other side does not resume sessions (option "resume"): ' +
      '"HTTP/1.1 400 Bad Request\\r\\n" looks like an HTTP server; if it ' +
      "accepts WebSockets, dial ws: or wss:",
  );
  void left.close();
});

test("handshake: a public key that is not valid, and an unknown type, are errors", async () => {
  for (
    const [message, size] of [["public key", SIZE.helloNew], [
      "type",
      9,
    ]] as const
  ) {
    const [left, right] = memoryTransports();
    const answered = answerDialer(new Incoming(right), NONE);
    const hello = new Uint8Array(size);
    hello.set(MAGIC);
    hello[8] = message === "type" ? 9 : 1;
    void left.write(hello);
    await assertRejects(() => answered, HandshakeError, message);
    void left.close();
  }
});
