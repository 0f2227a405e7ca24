// What a lost packet costs: messages on many channels of one session, over QUIC and
// over TCP, between two network namespaces whose link loses one packet in fifty.
//
//   deno run -A --unstable-net tests/bench/loss.ts [SECONDS] [ROUNDS]
//
// Prints a table of medians and ranges, and writes tests/bench/loss.svg. It needs Linux
// and root (loss_link.ts). The ways to send take turns.

import { loopbackCertificate } from "../support/quic.ts";
import { CHANNELS, type EndOptions, type Way, WAYS } from "./loss_ends.ts";
import { LossyLink } from "./loss_link.ts";

/** The share of packets that is lost. */
const LOSS = 0.02;
/** Milliseconds one way. */
const DELAY = 20;
const [seconds = 8, rounds = 5] = Deno.args.map(Number);

/** The milliseconds that each message took. */
async function measure(link: LossyLink, way: Way): Promise<number[]> {
  const { cert, key, authority } = await loopbackCertificate();
  const hostname = LossyLink.addressOf("far");
  const options: EndOptions = {
    way,
    hostname,
    seconds,
    cert,
    key,
    ca: authority.cert,
  };
  await using receiver = start(link, "far", "receive", options);
  const lines = linesOf(receiver.stdout);
  if ((await lines.next()).value !== "ready") {
    throw new Error(`Cannot receive over ${way}`);
  }
  await using sender = start(link, "near", "send", options);
  const { value } = await lines.next();
  await sender.status;
  const latencies: number[] = JSON.parse(value!);
  return latencies.sort((a, b) => a - b);
}

function start(
  link: LossyLink,
  end: "near" | "far",
  role: "send" | "receive",
  options: EndOptions,
): Deno.ChildProcess {
  const script = new URL("loss_ends.ts", import.meta.url).pathname;
  const [program, ...args] = link.at(end, [
    ...[Deno.execPath(), "run", "--quiet", "--allow-all", "--unstable-net"],
    ...[script, role, JSON.stringify(options)],
  ]);
  return new Deno.Command(program, { args, stdout: "piped" }).spawn();
}

async function* linesOf(
  output: ReadableStream<Uint8Array>,
): AsyncGenerator<string, undefined> {
  let text = "";
  for await (const piece of output.pipeThrough(new TextDecoderStream())) {
    const lines = (text + piece).split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}

/** That of the kernel's TCP. */
function congestionControl(): string {
  const path = "/proc/sys/net/ipv4/tcp_congestion_control";
  return Deno.readTextFileSync(path).trim();
}

/** What is said of one way to send, or of one round of it. */
interface Figures {
  name: Way;
  messages: number;
  /** Milliseconds. */
  p50: number;
  p90: number;
  p99: number;
  /** The share that came later than half a round trip after the rest. */
  late: number;
}

const KEYS = ["p50", "p90", "p99", "late"] as const;

function figuresOf(name: Way, latencies: number[]): Figures {
  const at = (share: number) =>
    latencies[Math.floor(latencies.length * share)] ?? NaN;
  const late = latencies.filter((ms) => ms > at(0.05) + DELAY).length;
  return {
    name,
    messages: latencies.length,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    late: late / latencies.length,
  };
}

/** A figure of all rounds, the least first. */
function sorted(all: Figures[], key: typeof KEYS[number]): number[] {
  return all.map((it) => it[key]).sort((a, b) => a - b);
}

function medians(all: Figures[]): Figures {
  const [first] = all;
  const median = (key: typeof KEYS[number]) =>
    sorted(all, key)[all.length >> 1]!;
  return {
    ...first!,
    p50: median("p50"),
    p90: median("p90"),
    p99: median("p99"),
    late: median("late"),
  };
}

/** Bars for the latencies, for light and dark pages. */
function picture(rows: Figures[]): string {
  const keys = ["p50", "p90", "p99"] as const;
  const longest = Math.max(...rows.map(({ p99 }) => p99));
  const parts: string[] = [];
  let y = 44;
  for (const key of keys) {
    for (const row of rows) {
      const width = 360 * row[key] / longest;
      const isOurs = row.name.startsWith("QUIC");
      parts.push(
        `<text x="16" y="${y + 14}">${key}, ${row.name}</text>`,
        `<rect x="170" y="${y + 2}" width="${
          width.toFixed(1)
        }" height="16" class="${isOurs ? "ours" : "peer"}"/>`,
        `<text x="${(178 + width).toFixed(1)}" y="${y + 14}">${
          row[key].toFixed(0)
        } ms</text>`,
      );
      y += 22;
    }
    y += 8;
  }
  const share = rows.map(({ name, late }) =>
    `${name} ${(100 * late).toFixed(1)} %`
  ).join("; ");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 ${
    y + 24
  }" width="640" height="${y + 24}" role="img">
<title>How long messages take when one packet in fifty is lost</title>
<style>
  svg { --page: #ffffff; --text: #1f2328; --faint: #656d76; --peer: #afb8c1; --ours: #0969da; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0d1117; --text: #e6edf3; --faint: #8d96a0; --peer: #545d68; --ours: #4493f8; }
  }
  .page { fill: var(--page); }
  text { font: 12px system-ui, sans-serif; fill: var(--text); }
  .title { font-weight: 600; }
  .note { fill: var(--faint); }
  .ours { fill: var(--ours); }
  .peer { fill: var(--peer); }
</style>
<rect class="page" width="640" height="${y + 24}"/>
<text x="16" y="26" class="title">Messages on ${CHANNELS} channels, ${DELAY} ms one way, 2 % of packets lost</text>
${parts.join("\n")}
<text x="16" y="${
    y + 12
  }" class="note">Late by half a round trip: ${share}</text>
</svg>
`;
}

const link = new LossyLink({ delay: DELAY, loss: LOSS });
const results = new Map(WAYS.map((way) => [way, [] as Figures[]]));
try {
  for (let round = 0; round < rounds; round++) {
    for (const way of WAYS) {
      const figures = figuresOf(way, await measure(link, way));
      console.error(JSON.stringify(figures));
      results.get(way)!.push(figures);
    }
  }
} finally {
  link[Symbol.dispose]();
}
const share = 100 * link.lost / (link.lost + link.passed);
console.log(
  `medians of ${rounds} rounds of ${seconds} s (the least and the most); ` +
    `${link.lost + link.passed} packets, ${share.toFixed(2)} % lost; ` +
    `TCP with ${congestionControl()}`,
);
for (const [way, all] of results) {
  const cells = KEYS.map((key) => {
    const values = sorted(all, key);
    const [scale, unit] = key === "late" ? [100, "%"] : [1, "ms"];
    const [least, median, most] = [0, all.length >> 1, all.length - 1]
      .map((at) => (scale * values[at]!).toFixed(1));
    return `${key} ${median} ${unit} (${least} to ${most})`;
  });
  console.log(`${way}: ${cells.join(", ")}`);
}
Deno.writeTextFileSync(
  new URL("loss.svg", import.meta.url),
  picture([...results.values()].map(medians)),
);
// The reads of the link never end.
Deno.exit(0);
