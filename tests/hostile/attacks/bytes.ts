/**
 * Plain bytes that the server comes to hold.
 *
 * @module
 */
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { SMALL } from "../bounds.ts";
import { aborted } from "../line.ts";

/** Sends bytes on many channels as fast as the server takes them. */
async function pour(
  it: Attacker,
  selector: string,
  channels: number,
  window?: number,
): Promise<void> {
  const session = await it.session();
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

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    name: "grown-windows",
    about: "16 channels whose reader is fast, so that windows grow, then stops",
    memory: SMALL,
    outcome: "may end",
    ms: 4_000,
    run: (it) => pour(it, "gulp", 16),
  },
  {
    name: "unread-echo",
    about: "bytes on 500 channels that echo them, with windows of 0 for that",
    memory: SMALL,
    outcome: "may end",
    run: (it) => pour(it, "bytes", 500, 0),
  },
];
