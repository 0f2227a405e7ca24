/**
 * Our peer in the middle between the recorded ends of a proxy of the reference:
 * two sessions joined by `proxy()`, and calls that `forward()` passes on.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { forward, Peer, type Transport } from "@qtalk/qtalk";
import { proxy } from "@qtalk/qtalk/mux";
// It is loaded at the first call, which takes longer than a replay waits.
import "../../rpc/forward/forwarding.ts";
import { scriptedSession } from "../support/raw_peer.ts";
import { within } from "../support/within.ts";
import type { Chunking, Side } from "./capture.ts";
import { CHUNKINGS } from "./chunkings.ts";
import { FunctionIds } from "./function_ids.ts";
import { Leg } from "./leg.ts";
import { type Recording, recordings } from "./recordings.ts";
import { Replay } from "./replay.ts";
import { recordedReport, type Report, reportOf } from "./report.ts";
import { CODECS, type OurSession } from "./stage.ts";

/** Joins two sessions; resolves when it is done with both. */
type Join = (
  front: OurSession,
  back: OurSession,
  recording: Recording,
) => Promise<void>;

const JOINS: Record<string, Join> = {
  "proxy()": (front, back) => proxy(front, back),
  async "forward()"(front, back, { codec }) {
    const target = new Peer(back, { codec: CODECS[codec]() });
    const handler = forward(target);
    await new Peer(front, { codec: CODECS[codec](), handler }).closed;
    await target.close();
  },
};

for (const codec of ["json", "cbor"] as const) {
  const legs = (leg: string) =>
    recordings[codec].filter(({ name }) => name.endsWith(`, ${leg} leg`));
  const backs = legs("back");
  for (const [i, front] of legs("front").entries()) {
    for (const [how, join] of Object.entries(JOINS)) {
      const name = front.name.replace(/, front leg$/, "");
      Deno.test(`golden: ${how}, ${codec}: ${name}`, async () => {
        const back = backs[i]!;
        assertEquals(back.name, `${name}, back leg`);
        const expected = how === "forward()"
          ? recordedReports(front, back)
          : unreadReports(front, back);
        const replays = Object.entries(CHUNKINGS).map(async ([cut, way]) => {
          const replayed = replayThrough(join, front, back, way);
          return [cut, await within(replayed, cut)] as const;
        });
        for (const [cut, report] of await Promise.all(replays)) {
          assertEquals(report, expected, cut);
        }
      });
    }
  }
}

/** What the recorded peer in the middle said to both. */
function recordedReports(front: Recording, back: Recording): Report {
  return both(recordedReport(front, "server"), recordedReport(back, "client"));
}

/** The same, with the header as it came: `proxy()` does not read it. */
function unreadReports(front: Recording, back: Recording): Report {
  const header = recordedReport(front, "client")["client 0: header"]!;
  return {
    ...recordedReports(front, back),
    "back, client 0: header": header,
  };
}

async function replayThrough(
  join: Join,
  front: Recording,
  back: Recording,
  chunking: Chunking,
): Promise<Report> {
  const replay = new Replay(chunking);
  const ids = new FunctionIds();
  const begin = (recording: Recording, ours: Side) => {
    const watch = (transport: Transport) => replay.watch(transport);
    const { session, raw } = scriptedSession({}, { watch });
    const leg = new Leg({
      recording,
      ours,
      raw,
      unopened: [],
      ids,
      onHeard: () => replay.note(),
      write: (written) => replay.write(written),
    });
    return { leg, session, ids };
  };
  const toClient = begin(front, "server");
  const toServer = begin(back, "client");
  const joined = join(toClient.session, toServer.session, front);
  await replay.play([toClient.leg, toServer.leg]);
  await toClient.leg.end();
  await Promise.all([joined, toClient.leg.ended, toServer.leg.ended]);
  return both(await reportOf(toClient), await reportOf(toServer));
}

function both(front: Report, back: Report): Report {
  const named = (leg: string, report: Report) =>
    Object.entries(report).map(([name, text]) => [`${leg}, ${name}`, text]);
  return Object.fromEntries([
    ...named("front", front),
    ...named("back", back),
  ]);
}
