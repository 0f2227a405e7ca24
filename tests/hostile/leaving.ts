/**
 * Streams that are left before their end.
 *
 * @module
 */
import type { Peer } from "../../mod.ts";

/** Values without an end, as a generator gives them. */
async function* endless(): AsyncGenerator<string> {
  for (;;) yield "x".repeat(1_000);
}

/** A few values, as a generator gives them. */
async function* few(): AsyncGenerator<string> {
  for (let i = 0; i < 5; i++) yield "x".repeat(1_000);
}

/** A method that streams its answer, and what it is called with. */
export type Streaming = readonly [selector: string, args: () => unknown];

/** Calls such a method, and leaves after the first value. */
export async function leaveOne(peer: Peer, [selector, args]: Streaming) {
  const response = await peer.request(selector, args(), { timeout: 5_000 });
  for await (const _ of response) break;
}

/** Both sides stream, and both have more to say when the caller leaves. */
export const BOTH_STREAM: Streaming[] = [
  ["streamed", endless],
  ["streamed", few],
  ["streamed", () => ReadableStream.from(endless())],
];
/** The handler never looks at what it is called with. */
export const NOT_TAKEN: Streaming[] = [
  ["unheard", () => null],
  ["unheard", () => ["x"]],
  ["unheard", endless],
];
