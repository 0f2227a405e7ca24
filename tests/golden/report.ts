/**
 * What one side of a session did, as lines to compare.
 *
 * @module
 */
import type { Session } from "@qtalk/qtalk";
import type { Side } from "./capture.ts";
import type { FunctionIds } from "./function_ids.ts";
import type { Leg } from "./leg.ts";
import { recordedOutcome } from "./outcome.ts";
import type { Recording } from "./recordings.ts";
import type { Said } from "./said.ts";

/** Lines by their names, such as `client 0: value 1` or `outcome 0`. */
export type Report = Record<string, string>;

/** The end of a session without an error. */
const CLEAN = "ends cleanly";

/** What the recorded counterpart of our side did. */
export function recordedReport(recording: Recording, ours: Side): Report {
  const report: Report = { session: CLEAN };
  for (const channel of recording.channels) {
    addChannel(report, channel, channel.said[ours], ours);
  }
  recording.entries
    .flatMap(({ by, outcome }) =>
      by === ours && outcome !== undefined ? [outcome] : []
    )
    .forEach((text, i) => report[`outcome ${i}`] = recordedOutcome(text));
  return report;
}

/** What our side did. */
export async function reportOf(
  { leg, ids, session, stage, replay }: {
    leg: Leg;
    ids: FunctionIds;
    session: Session;
    stage?: { reported: readonly string[] };
    replay?: {
      outcomes: readonly string[];
      missed: ReadonlySet<string>;
    };
  },
): Promise<Report> {
  const report: Report = { session: await endOf(session) };
  for (const [i, line] of leg.lines.entries()) {
    const { recorded, said, ourId } = line;
    if (recorded !== undefined) {
      if (ourId !== undefined || said.answer !== undefined) {
        addChannel(report, recorded, said, leg.ours);
        // Our side sends EOF also where the reference only closes.
        if (!recorded.said[leg.ours].ended) {
          delete report[`${recorded.name}: EOF`];
        }
      }
    } else if (said.headerSize > 0) {
      addChannel(
        report,
        { name: `unexpected ${i}`, opener: leg.ours },
        said,
        leg.ours,
      );
    }
  }
  replay?.missed.forEach((what) => report[`${what}: late`] = "yes");
  replay?.outcomes.forEach((text, i) => report[`outcome ${i}`] = text);
  stage?.reported.forEach((text, i) => report[`onError ${i}`] = text);
  leg.breaches.forEach((text, i) => report[`breach ${i}`] = text);
  for (const [name, text] of Object.entries(report)) {
    report[name] = ids.recorded(text);
  }
  return report;
}

function addChannel(
  report: Report,
  { name, opener }: { name: string; opener: Side },
  said: Said,
  ours: Side,
): void {
  if (opener === ours) report[name] = "opened";
  for (const [line, text] of said.lines()) report[`${name}: ${line}`] = text;
}

async function endOf({ closed }: Session): Promise<string> {
  try {
    await closed;
    return CLEAN;
  } catch (error) {
    return `fails: ${(error as Error).message}`;
  }
}
