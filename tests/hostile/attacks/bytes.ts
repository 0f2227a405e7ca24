/**
 * Plain bytes that the server comes to hold.
 *
 * @module
 */
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { SMALL } from "../bounds.ts";
import { aborted } from "../line.ts";
import type { RawSession } from "../raw_session.ts";
import { GULP } from "../service.ts";

/** Channels of `grown-windows`. */
const GROWN = 16;
/** More than a window has at first. */
const GROWN_WINDOW = 128 * 1024;
/** Milliseconds without a byte after which a reader counts as stopped. */
const STOPPED = 500;

/** Sends bytes on many channels as fast as the server takes them. */
async function pour(
  it: Attacker,
  session: RawSession,
  selector: string,
  channels: number,
  window?: number,
): Promise<void> {
  const piece = new Uint8Array(256 * 1024);
  const sending = Array.from({ length: channels }, async () => {
    const channel = await session.open(window === undefined ? {} : { window });
    if (channel === undefined) return;
    await channel.send(it.call(selector));
    while (!it.signal.aborted && await channel.send(piece)) {
      // Drops what comes back.
      channel.takeReceived();
    }
  });
  await it.orTimeout(Promise.all(sending));
  await aborted(it.signal);
}

/** Pours until every reader has stopped, and what its window allows has been sent. */
async function pourUntilFull(it: Attacker): Promise<void> {
  const session = await it.session();
  const { line } = session;
  void pour(it, session, "gulp", GROWN);
  const taken = GROWN * GULP;
  let before = 0;
  while (!it.signal.aborted && (line.sent < taken || line.sent > before)) {
    before = line.sent;
    await new Promise((resolve) => setTimeout(resolve, STOPPED));
  }
  it.check(
    "all readers have stopped",
    !it.signal.aborted,
    `${line.sent} bytes`,
  );
  const unread = line.sent - taken;
  it.check(
    "the windows have grown",
    unread > GROWN * GROWN_WINDOW,
    `${unread} bytes are unread`,
  );
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    name: "grown-windows",
    about: "16 channels whose reader is fast, so that windows grow, then stops",
    memory: SMALL,
    outcome: "may end",
    // Less than a second; more on a busy machine.
    ms: 20_000,
    run: pourUntilFull,
  },
  {
    name: "unread-echo",
    about: "bytes on 500 channels that echo them, with windows of 0 for that",
    memory: SMALL,
    outcome: "may end",
    run: async (it) => pour(it, await it.session(), "bytes", 500, 0),
  },
];
