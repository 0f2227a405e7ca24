// The healthy client: calls every 5 ms over its own connection, and opens a
// new connection every 100 ms.
//
//   deno run -A tests/hostile/healthy.ts DIRECTORY PLACE [CODEC]
//
// PLACE is a `Place` in JSON. Writes `ready` after its first answer. Answers
// `report` with the figures since the last report.

import { answerAll, say } from "./answering.ts";
import type { HealthyReport, Place } from "./attack.ts";
import { Latencies } from "./latencies.ts";
import { loadCodec, loadLibrary } from "./library.ts";

const CALL_INTERVAL = 5;
const CONNECT_INTERVAL = 100;
/** Milliseconds after which a call has failed. */
const PATIENCE = 30_000;

const [directory, text, codecName = "json"] = Deno.args;
const { address, pin } = JSON.parse(text!) as Place;
const { dial } = await loadLibrary(directory!);
const codec = await loadCodec(directory!, codecName);
const options = { codec, ...(pin !== undefined && { tls: { pin } }) };

const calls = new Latencies(CALL_INTERVAL);
const connects = new Latencies(CONNECT_INTERVAL);
let count = 0, connectCount = 0;
let failures: Record<string, number> = {};
/** When the pending call and the pending connection began. */
const since: Record<"call" | "connect", number | undefined> = {
  call: undefined,
  connect: undefined,
};
let onCall = () => {};

function fail(error: unknown): void {
  const { code, message } = error as Error & { code?: string };
  const text = `${code ?? ""} ${message.slice(0, 60)}`.trim();
  failures[text] = (failures[text] ?? 0) + 1;
}

/** Repeats an action on schedule, one at a time. */
async function keep(
  kind: "call" | "connect",
  interval: number,
  latencies: Latencies,
  act: () => Promise<unknown>,
): Promise<never> {
  for (let next = performance.now();; next += interval) {
    const now = performance.now();
    if (now < next) await new Promise((done) => setTimeout(done, next - now));
    // `Latencies` accounts for what a stall delayed.
    else next = now;
    const begun = since[kind] = performance.now();
    try {
      await act();
    } catch (error) {
      fail(error);
      // A server that has died fails every attempt at once.
      await new Promise((done) => setTimeout(done, 20));
    }
    latencies.add(performance.now() - begun);
    since[kind] = undefined;
    if (kind === "call") {
      count++;
      onCall();
    } else connectCount++;
  }
}

async function connectAnew(): Promise<void> {
  await using peer = await dial(address, { ...options, timeout: PATIENCE });
  await peer.call("ping", [], { timeout: PATIENCE });
}

/** Waits until a call settles, but at most so many milliseconds. */
function nextCall(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    onCall = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

/** Counts a pending call or connection that is the slowest so far. */
function addUnfinished(kind: "call" | "connect", latencies: Latencies): void {
  const begun = since[kind];
  if (begun === undefined) return;
  const age = performance.now() - begun;
  if (age > latencies.quantile(1)) latencies.add(age);
}

function report(): HealthyReport {
  addUnfinished("call", calls);
  addUnfinished("connect", connects);
  const made = {
    calls: count,
    failures,
    p50: calls.quantile(0.5),
    p99: calls.quantile(0.99),
    max: calls.quantile(1),
    connects: connectCount,
    connectMax: connects.quantile(1),
  };
  calls.clear();
  connects.clear();
  count = connectCount = 0;
  failures = {};
  return made;
}

const peer = await dial(address, options);
await peer.call("ping", []);
void keep(
  "call",
  CALL_INTERVAL,
  calls,
  () => peer.call("ping", [], { timeout: PATIENCE }),
);
void keep("connect", CONNECT_INTERVAL, connects, connectAnew);
say({ ready: true });
await answerAll({
  report: async ({ patience }) => {
    await nextCall(patience as number);
    return { report: report() };
  },
});
Deno.exit(0);
