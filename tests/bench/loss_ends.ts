/**
 * The two programs of loss.ts: one sends messages on many channels of a session, and
 * the other one says how long each of them took.
 *
 * @module
 */
import { FRAMED_PROTOCOL, quicSession } from "../../mux/quic/quic.ts";
import type { Channel, Session } from "../../mux/types.ts";
import { dialSession } from "../../talk/dial/dial.ts";
import { listenSession } from "../../talk/listener/listen.ts";

/** The ways to send. */
export const WAYS = [
  "QUIC, low-latency",
  "QUIC, default",
  "qmux over TCP",
] as const;
/** One of them. */
export type Way = (typeof WAYS)[number];

/** What both ends know. */
export interface EndOptions {
  readonly way: Way;
  /** The address of the receiver. */
  readonly hostname: string;
  readonly seconds: number;
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** Channels of the session. */
export const CHANNELS = 16;
/**
 * Bytes of a message, and milliseconds between two of a channel. Together they are
 * less than what the congestion control of QUIC sends at this loss; beyond that,
 * messages wait at the sender.
 */
export const MESSAGE = 200, INTERVAL = 50;
const PORT = 4433;

/** Receives one session; prints `ready`, and then the latencies as JSON. */
async function receive(options: EndOptions): Promise<void> {
  const session =
    await (options.way === "qmux over TCP"
      ? acceptTcp(options)
      : acceptQuic(options));
  const latencies: number[] = [];
  const receiving: Promise<void>[] = [];
  const opened = Promise.withResolvers<void>();
  session.accept((channel) => {
    receiving.push(receiveMessages(channel, latencies));
    if (receiving.length === CHANNELS) opened.resolve();
  });
  await opened.promise;
  await Promise.all(receiving);
  console.log(JSON.stringify(latencies));
  Deno.exit(0);
}

async function acceptTcp({ hostname }: EndOptions): Promise<Session> {
  const listener = await listenSession(`tcp://${hostname}:${PORT}`);
  console.log("ready");
  return (await listener[Symbol.asyncIterator]().next()).value!;
}

async function acceptQuic(options: EndOptions): Promise<Session> {
  const { hostname, cert, key } = options;
  const endpoint = new Deno.QuicEndpoint({ hostname, port: PORT });
  const listener = endpoint.listen({ cert, key, ...quicOptions(options) });
  console.log("ready");
  const incoming = await listener.incoming();
  return quicSession(await incoming.accept());
}

/** Sends messages for so many seconds. */
async function send(options: EndOptions): Promise<void> {
  const { way, hostname, ca, seconds } = options;
  const session = way === "qmux over TCP"
    ? await dialSession(`tcp://${hostname}:${PORT}`)
    : quicSession(
      await Deno.connectQuic({
        hostname,
        port: PORT,
        serverName: "localhost",
        caCerts: [ca],
        ...quicOptions(options),
      }),
    );
  const channels = await Promise.all(
    Array.from({ length: CHANNELS }, () => session.open()),
  );
  await Promise.all(
    channels.map((channel, index) => sendMessages(channel, index, seconds)),
  );
  await session.close();
  Deno.exit(0);
}

function quicOptions({ way }: EndOptions) {
  return {
    alpnProtocols: [FRAMED_PROTOCOL],
    maxConcurrentUnidirectionalStreams: 1,
    congestionControl: way === "QUIC, low-latency"
      ? "low-latency" as const
      : "default" as const,
  };
}

async function receiveMessages(
  channel: Channel,
  latencies: number[],
): Promise<void> {
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
      latencies.push(now() - new DataView(message.buffer).getFloat64(0));
    }
  }
}

/** Sends a message every so often; the channels do not send at the same time. */
async function sendMessages(
  channel: Channel,
  index: number,
  seconds: number,
): Promise<void> {
  const writer = channel.writable.getWriter();
  const begin = performance.now() + index * INTERVAL / CHANNELS;
  for (let n = 0; n < seconds * 1_000 / INTERVAL; n++) {
    const wait = begin + n * INTERVAL - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const message = new Uint8Array(MESSAGE);
    new DataView(message.buffer).setFloat64(0, now());
    await writer.write(message);
  }
  await writer.close();
}

/** Milliseconds by a clock that both programs read. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

if (import.meta.main) {
  const [role, options] = Deno.args as ["receive" | "send", string];
  await (role === "receive" ? receive : send)(JSON.parse(options));
}
