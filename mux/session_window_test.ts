/** Whether the windows of a session grow with the distance to its peer. */
import { assertGreaterOrEqual } from "@std/assert";
import { Script } from "../tests/conformance/scripted.ts";
import { RawPeer } from "../tests/support/raw_peer.ts";
import { close, data } from "../tests/support/wire.ts";
import { within } from "../tests/support/within.ts";
import { DEFAULT_SESSION_OPTIONS } from "./options.ts";
import { QmuxSession } from "./session.ts";
import { memoryTransports } from "./transport/memory.ts";

const { initialWindowSize, maxPacketSize } = DEFAULT_SESSION_OPTIONS;
/** Milliseconds of a round trip to the script. */
const ROUND_TRIP = 50;

/** Runs `body` with a session against a script, on a clock that it moves. */
async function timed<T>(
  body: (script: Script, pass: (ms: number) => void) => Promise<T>,
): Promise<T> {
  let time = 0;
  const [left, right] = memoryTransports();
  const session = new QmuxSession(left, { closeTimeout: 1 }, () => time);
  const raw = new RawPeer(right);
  try {
    const script = new Script(session, raw);
    return await within(body(script, (ms) => time += ms), "the script");
  } finally {
    await session.close();
    await raw.close();
  }
}

/**
 * Sends on a new channel as much as its window allows, in every round trip.
 * Returns what the window has grown to.
 */
async function upload(
  script: Script,
  pass: (ms: number) => void,
): Promise<number> {
  const { pipe, id } = await script.incoming();
  let credit = initialWindowSize;
  for (let round = 0; round < 20; round++) {
    // The credit reaches the script, and the data it allows comes back.
    pass(ROUND_TRIP);
    while (credit > 0) {
      const size = Math.min(credit, maxPacketSize);
      credit -= size;
      await script.raw.send(data(id, new Uint8Array(size)));
      await pipe.read(size);
    }
    for (const frame of await script.said()) {
      if (frame.type === "window-adjust") credit += frame.bytes;
    }
  }
  return credit;
}

Deno.test("QmuxSession: a window that limits a distant peer grows", async () => {
  assertGreaterOrEqual(await timed(upload), 4 * initialWindowSize);
});

Deno.test("QmuxSession: a CLOSE that crosses DATA and CLOSE does not count as a round trip", async () => {
  const grown = await timed(async (script, pass) => {
    const { pipe, id } = await script.incoming();
    pass(ROUND_TRIP);
    await script.raw.send(data(id, "a stream"));
    await pipe.channel.close();
    await script.said();
    // These were under way before the CLOSE, so they do not answer it.
    await script.raw.send(data(id, "that goes on"));
    await script.raw.send(close(id));
    return await upload(script, pass);
  });
  assertGreaterOrEqual(grown, 4 * initialWindowSize);
});
