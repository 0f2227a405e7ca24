/**
 * What a Deno client expects of the service, case by case as in go/cases.go.
 * Each runs on a peer of its own; the service may be either side's. Node 22 runs
 * them too, which does not know `using`.
 *
 * @module
 */
import { createHash } from "node:crypto";
import {
  MuxError,
  type Peer,
  RemoteError,
  type RpcResponse,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  generator,
  keepFunctions,
  leaveGenerator,
  passFunctions,
  receiveFunctions,
  streamToFunction,
} from "./function_cases.ts";
import type { CaseName } from "./names.ts";
import { patternStream, readIntoOneBuffer, verifyPattern } from "./pattern.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const DIE_BYTES = 1_000;
/** Milliseconds for what should happen soon. Only a failure takes as long. */
const SOON = 5_000;

/** A case; rejects if the other side is not as it should be. */
export type Case = (peer: Peer) => Promise<void>;

/** The cases that have a counterpart in go/cases.go. */
export const CASES: Record<CaseName, Case> = {
  "unary": unary,
  "error": remoteErrors,
  "not-found": notFound,
  "multi": multiValues,
  "none": noValue,
  "stream-args": streamArgs,
  "stream-replies": streamReplies,
  "hijack-1": hijackBytes(1),
  "hijack-1k": hijackBytes(KIB),
  "hijack-1m": hijackBytes(MIB),
  "hijack-64m": hijackBytes(64 * MIB),
  "sink-64m": sinkBytes(64 * MIB),
  "source-64m": sourceBytes(64 * MIB),
  "callback": callbacks,
  "pass-function": passFunctions,
  "keep-function": keepFunctions,
  "receive-function": receiveFunctions,
  "generator": generator,
  "leave-generator": leaveGenerator,
  "stream-to-function": streamToFunction,
  "concurrent-1000": concurrent(1_000),
  "cancel": cancelCall,
  "peer-dies": peerDies,
};

/** Further ones, for what only this side's client can do. */
export const MORE_CASES: Record<string, Case> = {
  "calls cancelled at any moment": cancelAnywhere,
  "a stream of replies left in the middle": leaveReplies,
  "a hijacked channel closed in the middle": closeMidway,
  "calls with metadata and a time limit": extras,
};

/** A peer that knows nothing of them answers as it always does. */
async function extras(peer: Peer): Promise<void> {
  const options = { meta: { token: "t".repeat(500) }, timeout: 60_000 };
  for (let i = 0; i < 3; i++) {
    const response = await peer.request("Upper", ["hello"], options);
    assertEquals([response.values, response.meta], [["HELLO"], {}]);
    assertEquals(await peer.call("echo", 5, { timeout: 60_000 }), 5);
  }
  const error = await assertRejects(
    () => peer.call("Fail", ["boom"], options),
    RemoteError,
  );
  assertEquals([error.text, error.meta], ["boom", {}]);
}

async function unary(peer: Peer): Promise<void> {
  const values = [
    ...[null, true, false, 0, 1, -1, 255, 65_536, 2 ** 53 - 1, 1.5, -0.25],
    ...[
      "",
      "hello",
      "ünï 🦕 <&>\u2028\x00",
      "x".repeat(MIB),
      "y".repeat(3 * MIB),
    ],
    ...[[], [1, "two", null, [3.5, []]], {}],
    { a: 1, nested: { list: [true, null] } },
  ];
  for (const value of values) {
    assertEquals(await peer.call("echo", value), value);
  }
  assertEquals(await peer.call("echo"), null);
  assertEquals(await peer.call("Upper", ["hello"]), "HELLO");
  assertEquals(await peer.call("/Upper", ["slash"]), "SLASH");
  assertEquals(await peer.call("Add", [19, 23]), 42);
}

async function remoteErrors(peer: Peer): Promise<void> {
  await expectError(peer, "Fail", ["boom"], "boom");
  await expectError(peer, "Fail", [""], "");
  await expectError(peer, "Error", ["user error"], "user error [/Error]");
  await expectError(peer, "Upper", ["a", "b"], "fn: expected 1 params, got 2");
  await expectError(peer, "Add", [], "fn: expected 2 params, got 0");
}

async function notFound(peer: Peer): Promise<void> {
  await expectError(
    peer,
    "no.such/selector",
    null,
    "not found: /no/such/selector",
  );
  await expectError(peer, "", null, "not found: /");
  assertEquals(await peer.call("echo", "after"), "after");
}

async function multiValues(peer: Peer): Promise<void> {
  const response = await peer.request("multi");
  assertEquals(response.values, [1, "two", [3]]);
  assertEquals(response.channel, undefined);
  assertEquals(await peer.call("multi"), 1);
}

async function noValue(peer: Peer): Promise<void> {
  assertEquals((await peer.request("none", "ignored")).values, [null]);
}

async function streamArgs(peer: Peer): Promise<void> {
  for (const count of [0, 1, 1_000]) {
    const numbers = Array.from({ length: count }, (_, i) => i - 10);
    const args = ReadableStream.from([count, ...numbers]);
    const sum = numbers.reduce((total, n) => total + n, 0);
    assertEquals(await peer.call("sum", args), sum);
  }
}

async function streamReplies(peer: Peer): Promise<void> {
  for (const count of [0, 1, 1_000]) {
    const response = await continued(peer, "count", count);
    assertEquals(response.value, count);
    assertEquals(
      await Array.fromAsync(response),
      Array.from({ length: count }, (_, i) => i),
    );
    await response.close();
  }
}

/** Writes and reads at once, and ends its writing long before its reading. */
function hijackBytes(size: number): Case {
  return async (peer) => {
    const response = await continued(peer, "bytes");
    const { readable, writable, closed } = response.channel!;
    await Promise.all([
      patternStream(size).pipeTo(writable),
      verifyPattern(readable, size),
    ]);
    await closed;
    await response.close();
  };
}

function sinkBytes(size: number): Case {
  return async (peer) => {
    const response = await continued(peer, "sink");
    const hash = createHash("sha256");
    const hashing = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        hash.update(chunk);
        controller.enqueue(chunk);
      },
    });
    await patternStream(size).pipeThrough(hashing)
      .pipeTo(response.channel!.writable);
    assertEquals(await response.receive(), {
      bytes: size,
      sha256: hash.digest("hex"),
    });
    assertEquals(await response.receive(), undefined);
    await response.close();
  };
}

function sourceBytes(size: number): Case {
  return async (peer) => {
    const response = await continued(peer, "source", size);
    assertEquals(response.value, size);
    await verifyPattern(readIntoOneBuffer(response.channel!.readable), size);
    await response.close();
  };
}

/** Once, several levels deep, and failing. */
async function callbacks(peer: Peer): Promise<void> {
  const upper = ["Upper", ["back"]];
  const value = { n: 21, list: [1, null] };
  assertEquals(await peer.call("callback", upper), "BACK");
  assertEquals(await peer.call("callback", ["echo", value]), value);
  assertEquals(await peer.call("callback", ["none", null]), null);
  assertEquals(
    await peer.call("callback", ["callback", ["callback", upper]]),
    "BACK",
  );
  await expectError(peer, "callback", ["Fail", ["boom"]], "remote: boom");
  await expectError(
    peer,
    "callback",
    ["nobody", null],
    "remote: not found: /nobody",
  );
}

function concurrent(count: number): Case {
  return async (peer) => {
    const calls = Array.from(
      { length: count },
      (_, i) =>
        i % 2 === 0 ? peer.call("echo", i) : peer.call("Add", [i, count]),
    );
    assertEquals(
      await Promise.all(calls),
      calls.map((_, i) => i % 2 === 0 ? i : i + count),
    );
  };
}

async function cancelCall(peer: Peer): Promise<void> {
  const before = await peer.call("cancelled") as number;
  const abort = new AbortController();
  const slow = peer.call("slow", 30_000, { signal: abort.signal });
  // Frames keep their order: once this is answered, the other is running.
  await peer.call("echo");
  const reason = new Error("changed my mind");
  abort.abort(reason);
  assertEquals(await assertRejects(() => slow), reason);

  assertEquals(await peer.call("slow", 1), 1);
  const deadline = performance.now() + SOON;
  while (await peer.call("cancelled") === before) {
    assert(performance.now() < deadline, "nobody saw the cancelled call");
  }
}

/**
 * The reference goes on sending DATA for a channel that was closed under it,
 * even behind its own CLOSE: none of that may cost the session.
 */
async function cancelAnywhere(peer: Peer): Promise<void> {
  const value = "x".repeat(32 * KIB);
  for (let round = 0; round < 100; round++) {
    const abort = new AbortController();
    const { signal } = abort;
    const calls = Array.from(
      { length: 4 },
      () => peer.call("echo", value, { signal }),
    );
    // Later each round: from before OPEN is answered to after the reply.
    const answered = peer.call("echo", round);
    for (let i = 0; i < round; i++) await Promise.resolve();
    if (round % 4 === 0) await answered;
    abort.abort();
    const outcomes = await Promise.allSettled(calls);
    for (const outcome of outcomes) {
      if (outcome.status === "fulfilled") assertEquals(outcome.value, value);
      else assertEquals(outcome.reason, signal.reason);
    }
    assertEquals(await answered, round);
  }
}

/** Leaving a loop over the replies closes the channel, and only that. */
async function leaveReplies(peer: Peer): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const response = await continued(peer, "count", 100_000);
    let expected = 0;
    for await (const value of response) {
      assertEquals(value, expected++);
      if (expected === 10) break;
    }
    await response.channel!.closed;
  }
  assertEquals(await peer.call("echo", "after"), "after");
}

async function closeMidway(peer: Peer): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const response = await continued(peer, "source", 64 * MIB);
    const reader = response.channel!.readable.getReader();
    await reader.read();
    await response.close();
    await response.channel!.closed;
  }
  assertEquals(await peer.call("echo", "after"), "after");
}

/**
 * What was sent before the death can be read; then comes an error, for a dead
 * peer must not look like a complete stream; and nothing hangs.
 */
async function peerDies(peer: Peer): Promise<void> {
  const waiting = assertRejects(() => peer.call("slow", 30_000), MuxError);
  const response = await continued(peer, "die");
  const received: Uint8Array[] = [];
  const lost = await assertRejects(async () => {
    for await (const chunk of response.channel!.readable) received.push(chunk);
  }, MuxError);
  assertEquals(lost.code, "connection-lost");
  await verifyPattern(ReadableStream.from(received), DIE_BYTES);
  await waiting;
  // It may end between two frames or inside one, but it ends.
  await peer.closed.catch(() => {});
  await assertRejects(() => peer.call("echo"), MuxError);
}

/** Calls a selector that must keep the channel open. */
async function continued(
  peer: Peer,
  selector: string,
  args?: unknown,
): Promise<RpcResponse> {
  const response = await peer.request(selector, args);
  assert(response.continued, `the response of ${selector} does not continue`);
  return response;
}

async function expectError(
  peer: Peer,
  selector: string,
  args: unknown,
  text: string,
): Promise<void> {
  const error = await assertRejects(
    () => peer.call(selector, args),
    RemoteError,
  );
  // Peers of this package pass on an error with one prefix, and have a text for
  // an error without one.
  const isOurs = error.remoteName !== undefined;
  assertEquals(error.text, isOurs && text === "" ? "Error" : text);
  assertEquals(
    error.message,
    isOurs && text.startsWith("remote: ") ? text : `remote: ${error.text}`,
  );
}
