import type { Peer } from "../../peer.ts";
import { codecName, INTEROP_CODEC_OPTION } from "../options/codec_option.ts";
import { defineCommand, positive } from "../command.ts";
import {
  DIAL_OPTIONS,
  type GivenDialOptions,
} from "../options/connection_options.ts";
import { dialPeer } from "../dial_peer.ts";
import { EXIT } from "../exit_code.ts";
import {
  type MakeCall,
  measureBytes,
  measureCalls,
  type OnProgress,
} from "../peers/measure.ts";
import {
  connectToInterop,
  INTEROP_WORDS_HELP,
} from "../peers/connect_to_interop.ts";
import { splitAddress } from "../options/target.ts";
import type { Terminal } from "../terminal.ts";
import { parseValue } from "../value_text.ts";

/** Numbers of calls in flight. */
const IN_FLIGHT = [1, 64] as const;
const DEFAULT_SECONDS = 1;
const DEFAULT_MIB = 64;

/** `qtalk bench`. */
export const bench = defineCommand({
  name: "bench",
  summary: "Measures the speed of calls and of byte streams",
  usage: [
    "bench [COMMAND | ADDRESS]",
    "bench -- PROGRAM [ARGS…]",
    "bench ADDRESS/Selector [ARGS…]",
  ],
  about: `${INTEROP_WORDS_HELP}

The first two forms measure an interop service: its Unary, which calls this side
back, with 1 and with 64 calls in flight, and bytes that are echoed. The last
form measures calls of any function, at a tcp: or tls: address. The codec is
CBOR unless --codec or the variable QTALK_CODEC names another one.

  qtalk bench tcp://127.0.0.1:9999/Upper hello --codec json`,
  options: {
    seconds: {
      type: "string",
      value: "S",
      about: `for each measurement of calls (default ${DEFAULT_SECONDS})`,
    },
    mib: {
      type: "string",
      value: "N",
      about: `MiB to send there and back (default ${DEFAULT_MIB})`,
    },
    json: { type: "boolean", about: "print the figures as JSON" },
    codec: INTEROP_CODEC_OPTION,
    ...DIAL_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const seconds = positive("seconds", options.seconds) ?? DEFAULT_SECONDS;
    const mib = positive("mib", options.mib) ?? DEFAULT_MIB;
    const codec = codecName(options.codec, "cbor");
    const { peer, makeCall, name, hasBytes } = await begin(
      words,
      codec,
      options,
      terminal,
    );
    await using _ = peer;
    const report = (what: string): OnProgress => (share) =>
      terminal.progress(`${what}: ${Math.floor(share * 100)} %`);
    const figures: Record<string, unknown> = {};
    for (const inFlight of IN_FLIGHT) {
      const what = `${name}, ${inFlight} in flight`;
      const result = await measureCalls(
        makeCall,
        inFlight,
        seconds,
        report(what),
      );
      const { callsPerSecond, p50, p99 } = result;
      figures[`calls-${inFlight}`] = {
        callsPerSecond: Math.round(callsPerSecond),
        p50: Math.round(p50),
        p99: Math.round(p99),
      };
      line(what, `${whole(callsPerSecond)} calls/s`, [
        `median ${whole(p50)} µs`,
        `99 % within ${whole(p99)} µs`,
      ]);
    }
    if (hasBytes) {
      const what = "Bytes, there and back";
      const size = Math.ceil(mib * 2 ** 20);
      const rate = await measureBytes(peer, size, report(what));
      figures["bytes"] = { mibPerSecond: Math.round(rate / 2 ** 20) };
      line(what, `${whole(rate / 2 ** 20)} MiB/s`, []);
    }
    if (options.json) terminal.print(JSON.stringify(figures));
    return EXIT.ok;

    function line(what: string, figure: string, details: string[]): void {
      if (options.json) return terminal.clearProgress();
      const bold = terminal.onResult("bold", figure.padStart(16));
      terminal.print(
        [what.padEnd(24) + bold, ...details].join("  ").trimEnd(),
      );
    }
  },
});

/** The service that is measured. */
interface Subject {
  peer: Peer;
  makeCall: MakeCall;
  name: string;
  hasBytes: boolean;
}

async function begin(
  words: readonly string[],
  codec: string,
  given: GivenDialOptions,
  terminal: Terminal,
): Promise<Subject> {
  const [first = "", ...args] = words;
  const { address, selector } = splitAddress(first);
  if (selector === undefined) {
    const peer = await connectToInterop(words, codec, given, terminal);
    const makeCall = () => peer.call("Unary", VALUE);
    return { peer, makeCall, name: "Unary", hasBytes: true };
  }
  const value = args.length === 0 ? null : args.map(parseValue);
  const peer = await dialPeer(address, codec, given, terminal);
  const makeCall = () => peer.call(selector, value);
  return { peer, makeCall, name: selector.slice(1), hasBytes: false };
}

/** The argument and the response of a unary call. */
const VALUE = 42;

function whole(number: number): string {
  return Math.round(number).toLocaleString("en");
}
