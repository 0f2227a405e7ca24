// The healthy client, in a process of its own: pings every 5 ms over a
// connection of its own, and connects anew every 100 ms.
//
//   deno run -A tests/hostile/healthy.ts DIRECTORY ADDRESS [CODEC]
//
// Says `ready` after its first answer; answers `report`, which begins anew.

import { answerAll, say } from "./answering.ts";
import type { HealthyReport } from "./attack.ts";
import { Latencies } from "./latencies.ts";
import { loadCodec, loadLibrary } from "./library.ts";

const PING_INTERVAL = 5;
const CONNECT_INTERVAL = 100;
/** Milliseconds after which an answer is not waited for any more. */
const PATIENCE = 30_000;

const [directory, address, codecName = "json"] = Deno.args;
const { dial } = await loadLibrary(directory!);
const codec = await loadCodec(directory!, codecName);

const pings = new Latencies(PING_INTERVAL);
const connects = new Latencies(CONNECT_INTERVAL);
let count = 0, connectCount = 0;
let failures: Record<string, number> = {};
/** When the ping, and the connection, under way began. */
const since: Record<"ping" | "connect", number | undefined> = {
  ping: undefined,
  connect: undefined,
};
let onPing = () => {};

function fail(error: unknown): void {
  const { code, message } = error as Error & { code?: string };
  const text = `${code ?? ""} ${message.slice(0, 60)}`.trim();
  failures[text] = (failures[text] ?? 0) + 1;
}

/** Does something on schedule, each after the one before it. */
async function keep(
  kind: "ping" | "connect",
  interval: number,
  latencies: Latencies,
  act: () => Promise<unknown>,
): Promise<never> {
  for (let next = performance.now();; next += interval) {
    const now = performance.now();
    if (now < next) await new Promise((done) => setTimeout(done, next - now));
    // What a stall kept from beginning is accounted for by `Latencies`.
    else next = now;
    const begun = since[kind] = performance.now();
    try {
      await act();
    } catch (error) {
      fail(error);
      // A server that is gone fails at once, and again and again.
      await new Promise((done) => setTimeout(done, 20));
    }
    latencies.add(performance.now() - begun);
    since[kind] = undefined;
    if (kind === "ping") {
      count++;
      onPing();
    } else connectCount++;
  }
}

async function connectAnew(): Promise<void> {
  await using peer = await dial(address!, { codec, timeout: PATIENCE });
  await peer.call("ping", [], { timeout: PATIENCE });
}

/** The next ping has been answered, or has failed; waits only so long. */
function nextPing(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    onPing = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

/** What has been under way for so long that it counts already. */
function addUnfinished(kind: "ping" | "connect", latencies: Latencies): void {
  const begun = since[kind];
  if (begun === undefined) return;
  const age = performance.now() - begun;
  if (age > latencies.quantile(1)) latencies.add(age);
}

function report(): HealthyReport {
  addUnfinished("ping", pings);
  addUnfinished("connect", connects);
  const made = {
    pings: count,
    failures,
    p50: pings.quantile(0.5),
    p99: pings.quantile(0.99),
    max: pings.quantile(1),
    connects: connectCount,
    connectMax: connects.quantile(1),
  };
  pings.clear();
  connects.clear();
  count = connectCount = 0;
  failures = {};
  return made;
}

const peer = await dial(address!, { codec });
await peer.call("ping", []);
void keep(
  "ping",
  PING_INTERVAL,
  pings,
  () => peer.call("ping", [], { timeout: PATIENCE }),
);
void keep("connect", CONNECT_INTERVAL, connects, connectAnew);
say({ ready: true });
await answerAll({
  report: async ({ patience }) => {
    await nextPing(patience as number);
    return { report: report() };
  },
});
Deno.exit(0);
