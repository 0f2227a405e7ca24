/**
 * Streams that are left before their end.
 *
 * @module
 */
import type { Peer } from "../../mod.ts";

/** An endless stream of values. */
async function* endless(): AsyncGenerator<string> {
  for (;;) yield "x".repeat(1_000);
}

/** A short stream of values. */
async function* few(): AsyncGenerator<string> {
  for (let i = 0; i < 5; i++) yield "x".repeat(1_000);
}

/** A streaming method and its arguments. */
export type Streaming = readonly [selector: string, args: () => unknown];

/** Calls such a method and leaves the stream after the first value. */
export async function leaveOne(peer: Peer, [selector, args]: Streaming) {
  const response = await peer.request(selector, args(), { timeout: 5_000 });
  for await (const _ of response) break;
}

/** Both sides stream, and both have more to send when the caller leaves. */
export const BOTH_STREAM: Streaming[] = [
  ["streamed", endless],
  ["streamed", few],
  ["streamed", () => ReadableStream.from(endless())],
];
/** The handler ignores its arguments. */
export const NOT_TAKEN: Streaming[] = [
  ["unheard", () => null],
  ["unheard", () => ["x"]],
  ["unheard", endless],
];
