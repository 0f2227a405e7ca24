/**
 * What the project wants to show, as ratios within one run. They are printed,
 * and fail nothing: on a machine that does other things they mean little.
 *
 * @module
 */
import { isBetterLow, type MeasureName, measureOf } from "./measures.ts";
import { NAMES } from "./peers.ts";
import type { Result } from "./report.ts";

/** A ratio, and whether it is what is wanted. */
export interface Check {
  what: string;
  value: number;
  /** `≥ 0.8`; undefined for one that is only shown. */
  target?: string;
  holds?: boolean;
}

/** Medians of the run; `NaN` for what was not measured. */
type Look = (measure: MeasureName, peer?: string) => Figures;
interface Figures {
  median: number;
  p99: number;
}

/** The median of the fastest peer: neither this package nor a limit. */
type Fastest = (measure: MeasureName) => number;

interface Limit {
  atLeast?: number;
  atMost?: number;
}

interface Target extends Limit {
  what: string;
  value: (look: Look, fastest: Fastest) => number;
}

/** A row of the summary (summary.ts): a measure of ours beside another figure. */
export interface Headline extends Limit {
  measure: MeasureName;
  /** Whose it is. Default: this package's. */
  peer?: string;
  /** What it is beside: another peer's, or another measure of ours. */
  beside: { measure: MeasureName; peer: string };
  /** As it says what that is. */
  name: string;
}

const { go, raw, idMap, birpc, kkrpc, capnweb, comlink, yamux, http2 } = NAMES;

function ratio(measure: MeasureName, peer: string, atLeast: number): Target {
  return headlineTarget(headline(measure, peer, { atLeast }));
}

function headline(
  measure: MeasureName,
  peer: string,
  limit: Limit = {},
): Headline {
  return { measure, beside: { measure, peer }, name: peer, ...limit };
}

/** A measure of this package, beside another one of it. */
function besideOwn(
  measure: MeasureName,
  other: MeasureName,
  atLeast: number,
): Headline {
  const beside = { measure: other, peer: NAMES.qtalk };
  return { measure, beside, name: other, atLeast };
}

/** Sessions that survive their connection, beside plain ones. */
function resuming(measure: MeasureName, atLeast: number): Headline {
  const beside = { measure, peer: NAMES.qtalk };
  return {
    ...{ measure, peer: NAMES.resuming, beside, name: "plain sessions" },
    atLeast,
  };
}

/** What this project is judged by first. */
export const HEADLINES: readonly Headline[] = [
  headline("echo", raw, { atLeast: 0.65 }),
  headline("echo-8", raw, { atLeast: 0.75 }),
  headline("bytes", raw, { atLeast: 0.75 }),
  headline("payload-64k", idMap, { atMost: 1.2 }),
  headline("payload-1m", idMap, { atMost: 1.3 }),
  headline("unary-1", idMap, { atLeast: 1 }),
  headline("unary-1", raw, { atLeast: 0.65 }),
  besideOwn("unary-1000", "unary-64", 1),
  headline("stdio-64", idMap, { atLeast: 1 }),
  headline("ws-64", idMap, { atLeast: 0.7 }),
  headline("worker-1", comlink, { atLeast: 1.1 }),
  headline("worker-1", idMap, { atLeast: 0.7 }),
  headline("worker-64", idMap, { atLeast: 0.6 }),
  besideOwn("tls-64", "unary-64", 0.6),
  headline("tls-1", raw),
  headline("tls-bytes", raw),
  resuming("resume-1", 0.95),
  resuming("resume-64", 0.95),
  resuming("resume-bytes", 0.8),
  headline("connections-1000", raw, { atLeast: 0.5 }),
  // As programs load the package: see tests/package.
  { ...headline("startup", raw, { atMost: 1.7 }), peer: NAMES.jsr },
  besideOwn("parallel-2", "parallel-1", 1.7),
];

function headlineTarget(
  { measure, peer, beside, name, ...limit }: Headline,
): Target {
  return {
    what: `${measure}: of ${name}`,
    value: (look) =>
      look(measure, peer).median / look(beside.measure, beside.peer).median,
    ...limit,
  };
}

/** Of the fastest peer there is. */
function ahead(measure: MeasureName): Target {
  return {
    what: `${measure}: of the fastest peer`,
    value: (look, fastest) => look(measure).median / fastest(measure),
    atLeast: 1,
  };
}

function cross(peer: string): Target {
  return {
    what: `unary-64: ${peer}, of qtalk-go alone`,
    value: (look) =>
      look("unary-64", peer).median / look("unary-64", go).median,
    atLeast: 1.1,
  };
}

function beside(measure: MeasureName): Target[] {
  return [ratio(measure, http2, 1.5), {
    what: `${measure}: p99, of ${http2}`,
    value: (look) => look(measure).p99 / look(measure, http2).p99,
    atMost: 2,
  }];
}

/** How much of the time that each takes grows from one measure to another. */
function growth(
  from: MeasureName,
  to: MeasureName,
  peer: string,
  factor = 1,
): Target {
  return {
    what: `growth: ${to}, of ${factor === 1 ? "" : `${factor} × `}${from}`,
    value: (look) => look(to, peer).median / factor / look(from, peer).median,
  };
}

const TARGETS: readonly Target[] = [
  ...HEADLINES.map(headlineTarget),
  ratio("unary-1", go, 3),
  ratio("unary-64", go, 8),
  ratio("unary-64", birpc, 1.2),
  ratio("unary-64", idMap, 0.35),
  cross(NAMES.qtalkToGo),
  cross(NAMES.goToQtalk),
  ratio("bytes", yamux, 1.2),
  ratio("bytes", go, 2),
  {
    what: "echo-8: of echo",
    value: (look) => look("echo-8").median / look("echo").median,
    atLeast: 0.9,
  },
  ratio("relay-bytes", raw, 0.9),
  {
    what: "relay-call: round trips, of a bare one",
    value: (look) => look("relay-call").median / look("relay-call", raw).median,
    atMost: 1.1,
  },
  ...beside("beside-send"),
  ...beside("beside-receive"),
  ahead("unix-64"),
  ahead("stdio-64"),
  ratio("ws-64", kkrpc, 1),
  ratio("ws-64", capnweb, 1),
  ratio("ws-64", birpc, 0.95),
  {
    what: "ws-1k: of ws-1, for none may stall",
    value: (look) => look("ws-1k").median / look("ws-1").median,
    atLeast: 0.5,
  },
  ratio("worker-64", comlink, 1),
  {
    what: "channel-memory: bytes",
    value: (look) => look("channel-memory", NAMES.session).median,
    atMost: 2 * 1024,
  },
  {
    what: "connection-memory: bytes",
    value: (look) => look("connection-memory").median,
    atMost: 32 * 1024,
  },
  {
    what: "startup: beyond an empty file, of a bare TCP echo",
    value(look) {
      const empty = look("startup", NAMES.empty).median;
      const echo = look("startup", raw).median - empty;
      // In a short run, the echo may seem to cost nothing.
      return echo > 0 ? (look("startup").median - empty) / echo : NaN;
    },
    atMost: 1.5,
  },
  growth("channels-10000", "channels-100000", NAMES.session),
  growth("channel-memory", "channel-memory-100000", NAMES.session),
  growth("payload-1m", "payload-16m", NAMES.qtalk, 16),
  growth("payload-16m", "payload-64m", NAMES.qtalk, 4),
];

/** A limit as text. */
export function limitText({ atLeast, atMost }: Limit): string | undefined {
  if (atLeast !== undefined) return `≥ ${atLeast}`;
  return atMost === undefined ? undefined : `≤ ${atMost}`;
}

/** Whether a value keeps to a limit. */
export function keeps(
  value: number,
  { atLeast = -Infinity, atMost = Infinity }: Limit,
): boolean {
  return atLeast <= value && value <= atMost;
}

/** Whether this is a peer: limits have brackets around their names. */
function isOther(peer: string): boolean {
  return !peer.startsWith("(") && !peer.startsWith("qtalk (");
}

/** What no measure may fall below, of the same measure of an earlier version. */
const OF_BEFORE = 0.97;

/** Each measure beside that of an earlier version, if there is one. */
function comparisons(results: readonly Result[]): Check[] {
  return results.flatMap(({ measure, peer, median: before }) => {
    const now = results.find((it) =>
      it.measure === measure && it.peer === NAMES.qtalk
    );
    if (peer !== NAMES.before || now === undefined) return [];
    const value = isBetterLow(measureOf(measure))
      ? before / now.median
      : now.median / before;
    return {
      what: `${measure}: of ${NAMES.before}`,
      value,
      target: `≥ ${OF_BEFORE}`,
      holds: value >= OF_BEFORE,
    };
  });
}

/** The targets that `results` tell something about. */
export function checkTargets(results: readonly Result[]): Check[] {
  const look: Look = (measure, peer = NAMES.qtalk) => {
    const result = results.find((it) =>
      it.measure === measure && it.peer === peer
    );
    return { median: result?.median ?? NaN, p99: result?.p99 ?? NaN };
  };
  const fastest: Fastest = (measure) =>
    results.filter((it) => it.measure === measure && isOther(it.peer))
      .map(({ median }) => median)
      .toSorted((a, b) => b - a)[0] ?? NaN;
  const checks = TARGETS.flatMap(({ what, value: compute, ...target }) => {
    const value = compute(look, fastest);
    if (Number.isNaN(value)) return [];
    const limit = limitText(target);
    if (limit === undefined) return { what, value };
    return { what, value, target: limit, holds: keeps(value, target) };
  });
  return [...checks, ...comparisons(results)];
}
