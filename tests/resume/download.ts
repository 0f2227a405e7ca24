/**
 * A download over a session whose connections are cut while it runs.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { dial, listen, type Peer } from "../../mod.ts";
import { Random } from "../support/random.ts";
import { Relay } from "./relay.ts";

/** What is downloaded, and how often its connections are cut. */
export interface DownloadOptions {
  readonly size: number;
  readonly cuts: number;
  readonly seed: number;
}

/** What a download came to. */
export interface Downloaded {
  readonly sentHash: string;
  readonly receivedHash: string;
  readonly received: number;
  /** Connections, the first one included. */
  readonly connections: number;
  /** The most that the two sessions held, in bytes. */
  readonly held: number;
  /** How much the memory of the process grew at most, in bytes. */
  readonly grown: number;
  readonly ms: number;
}

const CHUNK = 256 * 1024;

/** Downloads random bytes through a relay that cuts its connections. */
export async function download(
  { size, cuts, seed }: DownloadOptions,
): Promise<Downloaded> {
  const random = new Random(seed);
  const pattern = random.bytes(CHUNK + 4_099);
  const sent = createHash("sha256");
  const peers: Peer[] = [];
  let held = 0;
  let grown = 0;
  const before = Deno.memoryUsage().rss;
  const look = (usage: number) => {
    held = Math.max(held, usage);
    grown = Math.max(grown, Deno.memoryUsage().rss - before);
  };
  await using listener = await listen("tcp://127.0.0.1:0", {
    resume: {},
    onPeer(peer) {
      peers.push(peer);
    },
    async handler(_call, respond) {
      const { writable } = await respond.continue();
      const writer = writable.getWriter();
      for (let at = 0; at < size; at += CHUNK) {
        // Chunks differ, as each begins at another place of the pattern.
        const from = at / CHUNK % 4_099;
        const chunk = pattern.subarray(from, from + Math.min(CHUNK, size - at));
        sent.update(chunk);
        await writer.write(chunk);
        for (const { session } of peers) look(session.usage.held.total);
      }
      await writer.close();
    },
  });
  const port = Number(new URL(listener.addr).port);
  using relay = new Relay(() => port);
  // Each part of the download has a cut at a random place.
  const places = Array.from(
    { length: cuts },
    (_, i) => (i + random.next()) * size / cuts,
  );
  relay.onPassed = () => {
    if (places.length === 0 || relay.passed < places[0]!) return;
    places.shift();
    relay.cut();
  };
  const started = performance.now();
  await using peer = await dial(`tcp://127.0.0.1:${relay.port}`, {
    resume: {},
  });
  const received = createHash("sha256");
  let count = 0;
  // The program that downloads never knows.
  const { readable } = await peer.request("download");
  for await (const chunk of readable) {
    received.update(chunk);
    count += chunk.length;
    look(peer.session.usage.held.total);
  }
  return {
    sentHash: sent.digest("hex"),
    receivedHash: received.digest("hex"),
    received: count,
    connections: relay.accepted,
    held,
    grown,
    ms: performance.now() - started,
  };
}
