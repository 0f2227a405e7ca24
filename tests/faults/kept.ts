/**
 * Channels that a test accepts, keeps and does not read.
 *
 * @module
 */
import type { Session } from "@qtalk/qtalk";
import type { QmuxChannel } from "../../mux/channel/channel.ts";
import type { RawPeer } from "../support/raw_peer.ts";
import { open } from "../support/wire.ts";

/** Accepts every channel and touches none. */
export function keep(session: Session): QmuxChannel[] {
  const kept: QmuxChannel[] = [];
  session.accept((channel) => kept.push(channel as QmuxChannel));
  return kept;
}

/** What the buffers of these channels cost. */
export function held(channels: Iterable<QmuxChannel>): number {
  let sum = 0;
  for (const channel of channels) sum += channel.heldBytes;
  return sum;
}

/** Opens that many channels from the raw side, numbered from 0. */
export async function openRaw(raw: RawPeer, count: number): Promise<number[]> {
  for (let i = 0; i < count; i++) await raw.send(open(i));
  const ids: number[] = [];
  for (let i = 0; i < count; i++) {
    ids.push((await raw.expect("open-confirm")).sender);
  }
  return ids;
}
