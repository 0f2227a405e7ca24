// What a lost packet costs: messages on many channels of one session, over QUIC and
// over TCP, through relays that lose one packet in fifty.
//
//   deno run -A tests/bench/loss.ts [SECONDS]
//
// Prints a table, and writes tests/bench/loss.svg.
//
// The datagrams of QUIC are dropped. The kernel's TCP cannot be made to lose packets
// without netem, which not every machine has, so its relay does what a loss does to
// the reader of a connection: everything from the lost segment on waits for one round
// trip, which is the least that a retransmission takes. That is kind to TCP: there is
// no congestion control that slows down, and no second loss.

import { dialSession } from "../../talk/dial.ts";
import { listenSession } from "../../talk/listen.ts";
import { FRAMED_PROTOCOL, quicSession } from "../../mux/quic/quic.ts";
import type { Channel, Session } from "../../mux/types.ts";
import { loopbackCertificate } from "../support/quic.ts";

/** The share of packets that is lost. */
const LOSS = 0.02;
/** Milliseconds one way. */
const DELAY = 20;
/** Bytes of a packet with payload. */
const SEGMENT = 1_200;
const CHANNELS = 16;
/**
 * Bytes of a message, and milliseconds between two of a channel. Together they are
 * less than what the congestion control of QUIC sends at this loss; beyond that,
 * messages wait at the sender.
 */
const MESSAGE = 200, INTERVAL = 50;
const SECONDS = Number(Deno.args[0] ?? 8);

/** Bytes on their way in one direction of the TCP relay. */
class Line {
  #arrives = 0;
  #writing: Promise<unknown> = Promise.resolve();

  async run(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const writer = to.writable.getWriter();
    for await (const chunk of from.readable) {
      let at = performance.now() + DELAY;
      for (let sent = 0; sent < chunk.length; sent += SEGMENT) {
        if (Math.random() < LOSS) at += 2 * DELAY;
      }
      // Bytes do not overtake each other.
      this.#arrives = Math.max(this.#arrives, at);
      const wait = this.#arrives - performance.now();
      const arrived = new Promise((resolve) => setTimeout(resolve, wait));
      this.#writing = this.#writing.then(() => arrived)
        .then(() => writer.write(chunk)).catch(() => {});
    }
    await this.#writing;
    await writer.close().catch(() => {});
  }
}

function relayTcp(target: number): { port: number; close(): void } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  (async () => {
    for await (const near of listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: target });
      near.setNoDelay(true);
      far.setNoDelay(true);
      new Line().run(near, far).catch(() => {});
      new Line().run(far, near).catch(() => {});
    }
  })().catch(() => {});
  return { port: listener.addr.port, close: () => listener.close() };
}

function relayUdp(target: number): { port: number; close(): void } {
  const options = { transport: "udp", hostname: "127.0.0.1", port: 0 } as const;
  const near = Deno.listenDatagram(options);
  const far = Deno.listenDatagram(options);
  const server = { ...options, port: target };
  let client: Deno.Addr | undefined;
  const pass = async (from: Deno.DatagramConn, to: Deno.DatagramConn) => {
    for await (const [bytes, sender] of from) {
      if (from === near) client = sender;
      if (Math.random() < LOSS) continue;
      const copy = bytes.slice();
      setTimeout(() => {
        to.send(copy, to === far ? server : client!).catch(() => {});
      }, DELAY);
    }
  };
  for (const [from, to] of [[near, far], [far, near]] as const) {
    pass(from, to).catch(() => {});
  }
  return {
    port: (near.addr as Deno.NetAddr).port,
    close() {
      near.close();
      far.close();
    },
  };
}

/** Two sessions through a relay. */
interface Pair {
  near: Session;
  far: Session;
  close(): void | Promise<void>;
}

async function overTcp(): Promise<Pair> {
  const listener = await listenSession("tcp://127.0.0.1:0");
  const relay = relayTcp(Number(/\d+$/.exec(listener.addr)![0]));
  const accepting = listener[Symbol.asyncIterator]().next();
  const near = await dialSession(`tcp://127.0.0.1:${relay.port}`);
  return {
    near,
    far: (await accepting).value!,
    async close() {
      await listener.close();
      relay.close();
    },
  };
}

/** Over connections of the program's own, which alone may choose that. */
async function overQuic(
  congestionControl: "default" | "low-latency",
): Promise<Pair> {
  const { cert, key, authority } = await loopbackCertificate();
  const server = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  const client = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  const alpnProtocols = [FRAMED_PROTOCOL];
  const limits = { congestionControl, maxConcurrentUnidirectionalStreams: 1 };
  const listener = server.listen({ cert, key, alpnProtocols, ...limits });
  const relay = relayUdp(server.addr.port);
  const accepting = listener.incoming().then((incoming) => incoming.accept());
  const near = await Deno.connectQuic({
    hostname: "127.0.0.1",
    port: relay.port,
    caCerts: [authority.cert],
    endpoint: client,
    alpnProtocols,
    ...limits,
  });
  return {
    near: quicSession(near),
    far: quicSession(await accepting),
    close() {
      client.close();
      server.close();
      relay.close();
    },
  };
}

/** The milliseconds that each message took. */
async function measure(pair: Pair): Promise<number[]> {
  const { near, far } = pair;
  const latencies: number[] = [];
  const receiving: Promise<void>[] = [];
  far.accept((channel) => void receiving.push(receive(channel, latencies)));
  const channels = await Promise.all(
    Array.from({ length: CHANNELS }, () => near.open()),
  );
  await Promise.all(channels.map(send));
  await Promise.all(receiving);
  await near.close();
  await pair.close();
  return latencies.sort((a, b) => a - b);
}

async function receive(channel: Channel, latencies: number[]): Promise<void> {
  const message = new Uint8Array(MESSAGE);
  let length = 0;
  for await (const chunk of channel.readable) {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + MESSAGE - length);
      message.set(part, length);
      length += part.length;
      at += part.length;
      if (length < MESSAGE) continue;
      length = 0;
      const sentAt = new DataView(message.buffer).getFloat64(0);
      latencies.push(performance.now() - sentAt);
    }
  }
}

/** Sends a message every so often; the channels do not send at the same time. */
async function send(channel: Channel, index: number): Promise<void> {
  const writer = channel.writable.getWriter();
  const begin = performance.now() + index * INTERVAL / CHANNELS;
  for (let n = 0; n < SECONDS * 1_000 / INTERVAL; n++) {
    const wait = begin + n * INTERVAL - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const message = new Uint8Array(MESSAGE);
    new DataView(message.buffer).setFloat64(0, performance.now());
    await writer.write(message);
  }
  await writer.close();
}

/** What is said of one way to send. */
interface Figures {
  name: string;
  messages: number;
  /** Milliseconds. */
  p50: number;
  p90: number;
  p99: number;
  /** The share that came later than half a round trip after the rest. */
  late: number;
}

function figuresOf(name: string, latencies: number[]): Figures {
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

const rows = [
  figuresOf("QUIC, low-latency", await measure(await overQuic("low-latency"))),
  figuresOf("QUIC, default", await measure(await overQuic("default"))),
  figuresOf("qmux over TCP", await measure(await overTcp())),
];
for (const { name, messages, p50, p90, p99, late } of rows) {
  console.log(
    `${name}: ${messages} messages, p50 ${p50.toFixed(1)} ms, ` +
      `p90 ${p90.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ` +
      `late ${(100 * late).toFixed(1)} %`,
  );
}
Deno.writeTextFileSync(new URL("loss.svg", import.meta.url), picture(rows));
