/** Whether a session's windows grow with the distance to its peer. */
import { assertGreaterOrEqual } from "@std/assert";
import { type Script, scripted } from "../tests/conformance/scripted.ts";
import { close, data } from "../tests/support/wire.ts";
import { DEFAULT_SESSION_OPTIONS } from "./options.ts";

const { initialWindowSize, maxPacketSize } = DEFAULT_SESSION_OPTIONS;
/** Milliseconds to the script and back. */
const ROUND = 50;

/** As {@linkcode scripted}, with a clock that the test moves. */
function timed(
  behaviour: string,
  body: (script: Script, pass: (ms: number) => void) => Promise<void>,
): void {
  scripted(behaviour, async (script) => {
    const { now } = performance;
    let time = now.call(performance);
    performance.now = () => time;
    try {
      await body(script, (ms) => time += ms);
    } finally {
      performance.now = now;
    }
  });
}

/**
 * Sends on a new channel whatever its window allows, a round trip away, and
 * returns what its window has grown to.
 */
async function upload(
  script: Script,
  pass: (ms: number) => void,
): Promise<number> {
  const { pipe, id } = await script.incoming();
  let credit = initialWindowSize;
  for (let round = 0; round < 20; round++) {
    // What was granted arrives there, and what it allows comes back.
    pass(ROUND);
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

timed(
  "session windows: one that holds up a peer far away grows",
  async (script, pass) => {
    assertGreaterOrEqual(await upload(script, pass), 4 * initialWindowSize);
  },
);

timed(
  "session windows: a CLOSE that crosses DATA and CLOSE tells nothing about the distance",
  async (script, pass) => {
    const { pipe, id } = await script.incoming();
    pass(ROUND);
    await script.raw.send(data(id, "a stream"));
    await pipe.channel.close();
    await script.said();
    // Under way since before the CLOSE: no answer to it.
    await script.raw.send(data(id, "that goes on"));
    await script.raw.send(close(id));
    assertGreaterOrEqual(await upload(script, pass), 4 * initialWindowSize);
  },
);
