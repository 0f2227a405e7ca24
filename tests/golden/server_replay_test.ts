/**
 * Our server against the captured client: what the reference's client said is
 * sent as it was, in every chunking, and our answers must be the captured ones.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Call, CallError, type Handler } from "@qtalk/qtalk";
import { FrameType } from "../../mux/wire/frame.ts";
import { type RawPeer, rawPeer } from "../support/raw_peer.ts";
import {
  concat,
  type Frame,
  parseFrames,
  parseValues,
} from "../support/wire.ts";
import { within } from "../support/within.ts";
import {
  type Chunking,
  chunkings,
  exchange,
  framesOf,
  payloadOf,
} from "./capture.ts";

/** The captured service. Handlers hand what they saw to `saw`. */
function service(saw: (what: unknown) => void): Record<string, Handler> {
  const receive = async (call: Call) => saw(await call.receive());
  return {
    async echo(call, respond) {
      const args = await call.receive();
      saw(args);
      await respond.return(args);
    },
    async fail(call) {
      await receive(call);
      throw new CallError("boom");
    },
    async cont(call, respond) {
      await receive(call);
      const channel = await respond.continue("ready");
      await respond.send(1);
      await respond.send(2);
      await channel.close();
    },
    async multi(call, respond) {
      await receive(call);
      await respond.return(1, "two");
    },
    async none(call) {
      await receive(call);
    },
    async slow(call) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const { signal } = call;
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
      await receive(call);
      await promise;
      saw((signal.reason as { code: string }).code);
    },
  };
}

/** What the handler of each exchange must have seen. */
const SEEN: Record<string, unknown[]> = {
  echo: [["hi", 1]],
  fail: [["hi", 1]],
  cont: [["hi", 1]],
  multi: [["hi", 1]],
  none: [["hi", 1]],
  missing: [],
  "slow with ctx timeout 100ms": [null, "cancelled"],
};

function payload(frames: readonly Frame[]): Uint8Array {
  return concat(
    ...frames.flatMap((f) => f.type === "data" ? [f.payload] : []),
  );
}

/**
 * Says what the captured client said. Before its CLOSE it waits for as much of
 * the answer as the captured client had by then.
 */
async function playClient(
  raw: RawPeer,
  name: string,
  chunking: Chunking,
): Promise<Frame[]> {
  const answer: Frame[] = [];
  const hear = async () => {
    const frame = await raw.next();
    assert(frame !== null, "the session ended before the answer");
    answer.push(frame);
  };
  const captured: Uint8Array[] = [];
  let batch: Uint8Array[] = [];
  for (const step of exchange(name).steps) {
    if (!("from" in step)) continue;
    if (step.from === "server") {
      captured.push(step.bytes);
      continue;
    }
    if (step.bytes[0] === FrameType.CLOSE) {
      await raw.sendEach(chunking(batch));
      batch = [];
      const values = parseValues(payloadOf(captured)).length;
      while (parseValues(payload(answer)).length < values) await hear();
    }
    batch.push(step.bytes);
  }
  await raw.sendEach(chunking(batch));
  while (!answer.some((frame) => frame.type === "close")) await hear();
  await raw.end();
  answer.push(...await raw.rest());
  return answer;
}

/** An answer as both implementations give it: without credit, EOF and field S. */
function essence(frames: readonly Frame[]): unknown {
  const [header, ...values] = parseValues(payload(frames)) as [
    { Error?: unknown; Continue?: unknown } | undefined,
  ];
  return {
    first: frames[0]?.type === "open-confirm" &&
      [frames[0].recipient, frames[0].sender],
    header: header && { Error: header.Error, Continue: header.Continue },
    values,
    last: frames.at(-1),
    closes: frames.filter((f) => f.type === "close").length,
  };
}

for (const [name, seen] of Object.entries(SEEN)) {
  Deno.test(`the captured client gets the captured answer from our handler for "${name}"`, async () => {
    const theirs = parseFrames(concat(...framesOf(exchange(name), "server")));
    const longest = concat(...framesOf(exchange(name), "client")).length;
    for (const [cut, chunking] of chunkings(longest)) {
      const saw: unknown[] = [];
      const errors: unknown[] = [];
      const { peer, raw } = rawPeer({ onError: (error) => errors.push(error) });
      for (
        const [selector, handler] of Object.entries(service((v) => saw.push(v)))
      ) {
        peer.handle(selector, handler);
      }
      const ours = await within(
        playClient(raw, name, chunking),
        `${name}, ${cut}`,
      );
      await within(peer.closed, `${name}, ${cut}: a clean end`);
      assertEquals(essence(ours), essence(theirs), cut);
      assertEquals(saw, seen, cut);
      assertEquals(errors, [], cut);
    }
  });
}
