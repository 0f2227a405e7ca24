/**
 * Our client against the captured server: what the reference's server said is
 * sent as it was, in every chunking, and the calls must come to the captured
 * outcomes.
 *
 * @module
 */
import { assertEquals, assertIsError, assertRejects } from "@std/assert";
import { MuxError, type Peer, RemoteError } from "@qtalk/qtalk";
import { FrameType } from "../../mux/wire/frame.ts";
import { type RawPeer, rawPeer } from "../support/raw_peer.ts";
import { confirm, data } from "../support/wire.ts";
import { within } from "../support/within.ts";
import { type Chunking, chunkings, exchange } from "./capture.ts";

const args = ["hi", 1];

async function failed(promise: Promise<unknown>, message: string) {
  const error = await assertRejects(() => promise, RemoteError);
  assertEquals(error.message, message);
}

/** What a program does; `requested` resolves once its request has arrived. */
type Program = (peer: Peer, requested: Promise<void>) => Promise<void>;

/** What the captured program did, and what it must come to. */
const CALLS: Record<string, Program> = {
  async echo(peer) {
    assertEquals(await peer.call("echo", args), ["hi", 1]);
  },
  fail: (peer) => failed(peer.call("fail", args), "remote: boom"),
  async cont(peer) {
    await using response = await peer.request("cont", args);
    assertEquals(response.continued, true);
    assertEquals(response.value, "ready");
    assertEquals(await response.receive(), 1);
    assertEquals(await response.receive(), 2);
    assertEquals(await response.receive(), undefined);
  },
  async multi(peer) {
    assertEquals(await peer.call("multi", args), 1);
  },
  async none(peer) {
    assertEquals(await peer.call("none", args), null);
  },
  missing: (peer) =>
    failed(peer.call("missing", args), "remote: not found: /missing"),
  async "slow with ctx timeout 100ms"(peer, requested) {
    const giveUp = new AbortController();
    const call = peer.call("slow", null, { signal: giveUp.signal });
    const reason = new Error("deadline exceeded");
    // The capture's deadline passes when the call has gone out.
    void requested.then(() => giveUp.abort(reason));
    assertEquals(await call.catch((error) => error), reason);
  },
};

/** As the calls above, for programs that want all of the response. */
const REQUESTS: Record<string, Program> = {
  async multi(peer) {
    const response = await peer.request("multi", args);
    assertEquals(response.continued, false);
    assertEquals(response.values, [1, "two"]);
    assertEquals(response.channel, undefined);
  },
  async none(peer) {
    assertEquals((await peer.request("none", args)).values, [null]);
  },
  fail: (peer) => failed(peer.request("fail", args), "remote: boom"),
};

/**
 * Says what the captured server said. It waits for our OPEN, for our request
 * and, if `patient`, for our CLOSE where the capture has the client's.
 */
async function playServer(
  raw: RawPeer,
  name: string,
  chunking: Chunking,
  patient: boolean,
  onRequest: () => void,
): Promise<void> {
  let batch: Uint8Array[] = [];
  const flush = async () => {
    if (batch.length > 0) await raw.sendEach(chunking(batch));
    batch = [];
  };
  let requested = false;
  for (const step of exchange(name).steps) {
    if (!("from" in step)) continue;
    const [type] = step.bytes;
    if (step.from === "server") {
      batch.push(step.bytes);
    } else if (type === FrameType.OPEN) {
      await raw.find("open");
    } else if (type === FrameType.DATA && !requested) {
      // Ours sends header and arguments in one frame, the reference in two.
      requested = true;
      await flush();
      await raw.find("data");
      onRequest();
    } else if (type === FrameType.CLOSE && patient) {
      await flush();
      await raw.find("close");
    }
  }
  await flush();
}

/** The session must be as good as new: it opens channels, and ends cleanly. */
async function goesOn(peer: Peer, raw: RawPeer): Promise<void> {
  const confirming = (async () => {
    for (let frame; (frame = await raw.next()) !== null;) {
      if (frame.type !== "open") continue;
      await raw.send(confirm(frame.sender, frame.sender));
    }
  })();
  await (await peer.session.open()).close();
  await raw.end();
  await peer.closed;
  await confirming;
}

async function replay(
  name: string,
  run: Program,
  chunking: Chunking,
  patient: boolean,
): Promise<void> {
  const { peer, raw } = rawPeer();
  const { promise: requested, resolve } = Promise.withResolvers<void>();
  await Promise.all([
    run(peer, requested),
    playServer(raw, name, chunking, patient, resolve),
  ]);
  await goesOn(peer, raw);
}

for (const [calls, what] of [[CALLS, "call"], [REQUESTS, "request"]] as const) {
  for (const [name, run] of Object.entries(calls)) {
    Deno.test(`the captured server brings our ${what} "${name}" to the captured outcome`, async () => {
      const longest = Math.max(
        ...exchange(name).steps.map((s) => "from" in s ? s.bytes.length : 0),
      ) * 4;
      for (const [cut, chunking] of chunkings(longest)) {
        await within(
          replay(name, run, chunking, what === "call"),
          `${name}, ${cut}`,
        );
      }
    });
  }
}

Deno.test("data for an unknown channel ends our session, as it ended the captured one", async () => {
  // The capture has the outcome only: "qmux: invalid channel 99".
  assertEquals(exchange("unknown channel data").steps, [
    { outcome: "session.Wait: qmux: invalid channel 99" },
  ]);
  const frame = data(99, "x");
  for (const [, chunking] of chunkings(frame.length)) {
    const { peer, raw } = rawPeer();
    // The session may be gone before the last byte.
    await raw.sendEach(chunking([frame])).catch(() => {});
    const error = await within(peer.closed.catch((error) => error), "the end");
    assertIsError(error, MuxError, "channel 99");
    assertEquals(error.code, "protocol-error");
    assertEquals(await raw.rest(), []);
  }
});
