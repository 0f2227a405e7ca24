import { RemoteError, RpcError } from "../../../rpc/internal.ts";
import { redactedAddress } from "../../../printable_text.ts";
import type { Peer } from "../../peer.ts";
import { CODEC_OPTION, codecName } from "../options/codec_option.ts";
import { count, defineCommand, positive, seconds } from "../command.ts";
import { DIAL_OPTIONS } from "../options/connection_options.ts";
import { dialPeer } from "../dial_peer.ts";
import { EXIT, UsageError } from "../exit_code.ts";
import { splitAddress } from "../options/target.ts";

/** What is called. A server that does not know it answers that it does not. */
const PING = "/_qtalk/ping";
/** Seconds until a ping counts as lost. */
const TIMEOUT = 5;
/** Seconds between two pings. */
const INTERVAL = 1;
/** How many pings are sent. */
const COUNT = 5;

/** `qtalk ping`. */
export const ping = defineCommand({
  name: "ping",
  summary: "Measures round trips to a server",
  usage: ["ping ADDRESS"],
  about:
    `Calls /_qtalk/ping on one connection, one call after the other, and prints how
long each answer took; at the end, it prints how many were lost, and the
shortest, median and longest round trip. Every answer counts, even an error that
says that there is no such method, so any server can be pinged. SIGINT ends it
early.

It fails with exit code 3 if there was no answer, or the connection was lost.

  qtalk ping tcp://127.0.0.1:9999
  qtalk ping wss://example.com/rpc --count 100 --interval 0.1`,
  options: {
    count: {
      type: "string",
      short: "c",
      value: "N",
      about: `how many pings (default ${COUNT})`,
    },
    interval: {
      type: "string",
      short: "i",
      value: "SECONDS",
      about: `between an answer and the next ping (default ${INTERVAL})`,
    },
    codec: CODEC_OPTION,
    timeout: {
      type: "string",
      value: "SECONDS",
      about: `for connecting (30) and each answer (${TIMEOUT})`,
    },
    ...DIAL_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const [first, ...others] = words;
    if (first === undefined || others.length > 0) {
      throw new UsageError(
        `Cannot ping: expected one address, got ${words.length}`,
      );
    }
    const { address, selector } = splitAddress(first);
    if (selector !== undefined) {
      throw new UsageError(
        `Cannot ping "${
          redactedAddress(first)
        }": expected an address without a selector`,
      );
    }
    const pings = count("count", options.count) ?? COUNT;
    const interval = seconds("interval", options.interval) ?? INTERVAL * 1_000;
    const limit = positive("timeout", options.timeout);
    await using peer = await dialPeer(
      address,
      codecName(options.codec, "json"),
      options,
      terminal,
      limit === undefined ? {} : { timeout: limit * 1_000 },
    );
    const times: number[] = [];
    let sent = 0;
    const stop = new AbortController();
    const onSignal = () => stop.abort();
    Deno.addSignalListener("SIGINT", onSignal);
    try {
      while (sent < pings && !stop.signal.aborted) {
        if (sent > 0) await pause(interval, stop.signal);
        if (stop.signal.aborted) break;
        sent++;
        const time = await roundTrip(peer, (limit ?? TIMEOUT) * 1_000, stop);
        if (time === "stopped") {
          sent--;
          break;
        }
        if (time !== undefined) times.push(time);
        terminal.print(
          time === undefined
            ? `${sent}: no answer`
            : `${sent}: ${milliseconds(time)}`,
        );
      }
    } finally {
      Deno.removeSignalListener("SIGINT", onSignal);
      if (sent > 0) {
        terminal.print(summary(redactedAddress(address), sent, times));
      }
    }
    return times.length > 0 || sent === 0 ? EXIT.ok : EXIT.connection;
  },
});

/** Milliseconds until the answer; undefined if it did not come in time. */
async function roundTrip(
  peer: Peer,
  timeout: number,
  { signal }: AbortController,
): Promise<number | undefined | "stopped"> {
  const begun = performance.now();
  try {
    await peer.call(PING, null, { timeout, signal });
  } catch (error) {
    if (signal.aborted) return "stopped";
    const isLate = error instanceof RpcError && error.code === "timeout";
    if (isLate) return undefined;
    if (!(error instanceof RemoteError)) throw error;
  }
  return performance.now() - begun;
}

/** Waits until it is time for the next ping. */
function pause(interval: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, interval);
  const onAbort = () => resolve();
  signal.addEventListener("abort", onAbort);
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  });
}

function summary(
  address: string,
  sent: number,
  times: readonly number[],
): string {
  const lost = sent - times.length;
  const percent = Math.round(lost / sent * 100);
  const counts =
    `${address}: ${sent} sent, ${times.length} answered, ${percent} % lost`;
  const sorted = times.toSorted((a, b) => a - b);
  const [least] = sorted;
  if (least === undefined) return counts;
  const median = sorted[Math.floor((sorted.length - 1) / 2)]!;
  const figures = [least, median, sorted.at(-1)!].map((ms) => ms.toFixed(2));
  return `${counts}; min/median/max ${figures.join("/")} ms`;
}

function milliseconds(time: number): string {
  return `${time.toFixed(2)} ms`;
}
