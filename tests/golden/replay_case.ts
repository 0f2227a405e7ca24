/**
 * The tests of the recordings, for one side of ours.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { within } from "../support/within.ts";
import type { Side } from "./capture.ts";
import { CHUNKINGS } from "./chunkings.ts";
import { type Exception, exceptionFor } from "./exceptions.ts";
import { type Recording, recordings } from "./recordings.ts";
import { recordedReport, type Report } from "./report.ts";
import { type Casting, replayTo } from "./stage.ts";
import type { CodecName } from "./wire_value.ts";

/** The recordings that one side of ours replays: of a proxy, one leg each. */
export function replayedBy(
  ours: Side,
  codec: CodecName,
): readonly Recording[] {
  const others = ours === "server" ? ", front leg" : ", back leg";
  return recordings[codec].filter(({ name }) => !name.endsWith(others));
}

/** Registers the tests of all of them. */
export function testReplays(
  ours: Side,
  cast: (recording: Recording) => Casting,
): void {
  for (const codec of ["json", "cbor"] as const) {
    for (const recording of replayedBy(ours, codec)) {
      testReplay(ours, recording, cast);
    }
  }
}

/** Registers the test: in all chunkings our side does what was recorded. */
function testReplay(
  ours: Side,
  recording: Recording,
  cast: (recording: Recording) => Casting,
): void {
  const { name, codec } = recording;
  const exception = exceptionFor(ours, recording);
  const title = exception === undefined
    ? `matches "${name}"`
    : `departs from "${name}": ${exception.reason}`;
  Deno.test(`golden: our ${ours} in ${codec.toUpperCase()} ${title}`, async () => {
    const recorded = recordedReport(recording, ours);
    const { reports = [] } = cast(recording);
    reports.forEach((text, i) => recorded[`onError ${i}`] = text);
    const unopened = Object.entries(exception?.ours ?? {})
      .flatMap(([line, text]) => text === null ? [line] : []);
    const replays = Object.entries(CHUNKINGS).map(async ([cut, way]) => {
      const casting = cast(recording);
      const replayed = replayTo(ours, recording, way, casting, unopened);
      return [cut, await within(replayed, cut)] as const;
    });
    for (const [cut, report] of await Promise.all(replays)) {
      assertEquals(report, expected(report, recorded, exception), cut);
    }
  });
}

/**
 * What was recorded, with what our side has instead: each line of the exception
 * has to be a difference, and nothing else may be one.
 */
function expected(
  report: Report,
  recorded: Report,
  exception: Exception | undefined,
): Report {
  const lines = { ...recorded };
  for (const [line, text] of Object.entries(exception?.ours ?? {})) {
    const theirs = recorded[line];
    if (exception?.unlessClosed && report[line] === undefined) continue;
    if (text === null) {
      assert(theirs !== undefined, `the recording has no "${line}" either`);
      delete lines[line];
    } else if (text instanceof RegExp) {
      assert(!text.test(theirs ?? ""), `the recording has this "${line}" too`);
      assertMatch(report[line] ?? "", text);
      lines[line] = report[line]!;
    } else {
      assert(text !== theirs, `the recording has this "${line}" too`);
      lines[line] = text;
    }
  }
  return lines;
}
