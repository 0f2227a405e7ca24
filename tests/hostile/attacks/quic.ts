/**
 * QUIC and WebTransport: datagrams, handshakes, streams, and what is not read.
 *
 * @module
 */
import type { TlsError } from "../../../mux/errors.ts";
import { handshakeError } from "../../../mux/quic/errors.ts";
import { PLAIN_PROTOCOL } from "../../../mux/quic/protocol.ts";
import { webTransport } from "../../../mux/transport/webtransport/scheme.ts";
import type { Transport } from "../../../mux/types.ts";
import {
  close,
  concat,
  data,
  GO_PACKET,
  GO_WINDOW,
  open,
  utf8,
} from "../../support/wire.ts";
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { repeated } from "../batches.ts";
import { MANY_SESSIONS, PLAIN_STREAMS, SMALL } from "../bounds.ts";
import { often } from "../honest_client.ts";
import { aborted, turn } from "../line.ts";
import { hostAndPort, OneWay, QuicLine } from "../quic_line.ts";

const quic = { setup: { transport: "quic" }, memory: SMALL } as const;
const wt = { setup: { transport: "wt" }, memory: SMALL } as const;

/** What begins a channel, on a stream of its own. */
const OPEN = open(0, GO_WINDOW, GO_PACKET);
/** What ends it. */
const CLOSE = close(0);

/** A datagram of random bytes. */
function noise(size: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(size));
}

/** One that begins like the first packet of a connection of QUIC 1. */
function likeInitial(): Uint8Array {
  const bytes = noise(1_200);
  bytes.set([0xc0 | bytes[0]! & 0x0f, 0, 0, 0, 1, 8]);
  return bytes;
}

/** A channel with a call. */
async function call(it: Attacker, line: QuicLine, bytes: Uint8Array) {
  const stream = await line.stream(OPEN);
  await it.orTimeout(stream.answered());
  await stream.write(data(0, bytes));
  return stream;
}

/** A byte stream over WebTransport. */
async function bytesOver(it: Attacker): Promise<Transport> {
  return await webTransport.connect(it.address.slice(3), it.signal, {
    tls: { pin: it.pin! },
  });
}

/** Drops what a byte stream brings. */
async function drop(transport: Transport): Promise<void> {
  try {
    while (await transport.read() !== null);
  } catch {
    // The server has ended it.
  }
}

/**
 * Repeats an action until the time is over, several at a time, and checks how often it
 * succeeded. Attempts that fail do not count, because they are no load; wrap those that
 * the server should refuse in `unless()`.
 */
async function keepOn(
  it: Attacker,
  atOnce: number,
  act: () => Promise<unknown>,
  least = 50,
): Promise<void> {
  let times = 0;
  let failure: unknown;
  const work = async () => {
    while (!it.signal.aborted) {
      await it.orTimeout(
        act().then(() => {
          times++;
        }, (error) => {
          failure = error;
        }),
      );
      // Where every attempt fails at once, timers would never have their turn.
      await turn();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  const why = failure === undefined ? "" : `; ${failure}`;
  it.check("there are many", times > least, `${times} times${why}`);
}

/** Resolves to undefined if an attempt is refused, and rejects if it fails otherwise. */
async function unless<T>(
  attempt: Promise<T>,
  isRefusal: (error: Error) => boolean,
): Promise<T | undefined> {
  try {
    return await attempt;
  } catch (error) {
    if (isRefusal(error as Error)) return undefined;
    throw error;
  }
}

/** An attack over one connection in this package's own dialect. */
function overOne(
  attack: Pick<Attack, "name" | "about" | "documented" | "outcome">,
  run: (it: Attacker, line: QuicLine) => Promise<unknown>,
): Attack {
  return {
    ...quic,
    ...attack,
    run: async (it) => void await run(it, await it.quic()),
  };
}

/** The attacks on both, below what they carry. */
function both(
  name: "quic" | "wt",
  common: typeof quic | typeof wt,
): Attack[] {
  return [
    {
      ...common,
      name: `${name}-garbage`,
      about: "datagrams of random bytes, half of them like first packets",
      outcome: "not judged",
      documented:
        "all connections share a socket of UDP: what does not fit is dropped, " +
        "that of honest clients, too, which send it again",
      run: async (it) => {
        const socket = Deno.listenDatagram({
          transport: "udp",
          hostname: "127.0.0.1",
          port: 0,
        });
        const target = {
          transport: "udp",
          ...hostAndPort(it.address),
        } as const;
        const batch = Array.from(
          { length: 64 },
          (_, i) => i % 2 === 0 ? noise(1 + 19 * i) : likeInitial(),
        );
        let sent = 0;
        while (!it.signal.aborted) {
          for (const bytes of batch) await socket.send(bytes, target);
          sent += batch.length;
        }
        socket.close();
        it.check("there are thousands", sent > 2_000, `${sent} were sent`);
      },
    },
    {
      ...common,
      name: `${name}-wrong-protocol`,
      about: "connections that offer another protocol, again and again",
      outcome: "not judged",
      run: async (it) => {
        let accepted = 0;
        await keepOn(it, 4, async () => {
          const line = await unless(
            QuicLine.connect(it, "another"),
            (error) =>
              (handshakeError(error, true) as TlsError).code ===
                "wrong-protocol",
          );
          if (line === undefined) return;
          accepted++;
          await line.close();
        });
        it.check("they are refused", accepted === 0, `${accepted} are not`);
      },
    },
    {
      ...common,
      name: `${name}-come-and-go`,
      about: "connections that are made and left, again and again",
      documented: "each takes a handshake of TLS, in which calls wait",
      memory: MANY_SESSIONS,
      outcome: "not judged",
      run: async (it) => {
        await keepOn(it, 4, async () => {
          const protocol = name === "wt" ? "h3" : undefined;
          const line = await QuicLine.connect(it, protocol);
          await line.close();
        });
      },
    },
  ];
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  ...both("quic", quic),
  {
    ...quic,
    name: "quic-half-open",
    about: "500 handshakes whose answers nobody gets",
    documented:
      "Deno cannot ask clients to prove their address before a handshake",
    memory: MANY_SESSIONS,
    outcome: "not judged",
    ms: 5_000,
    run: async (it) => {
      using oneWay = new OneWay(hostAndPort(it.address));
      for (let i = 0; i < 500 && !it.signal.aborted; i++) {
        QuicLine.connect(it, undefined, oneWay.place).catch(() => {});
        if (i % 20 === 19) await new Promise((next) => setTimeout(next, 10));
      }
      await aborted(it.signal);
      it.check("they arrive", oneWay.passed >= 500, oneWay.passed);
    },
  },
  overOne({
    name: "quic-open-close-flood",
    about: "streams with OPEN and CLOSE, again and again, the answers read",
    outcome: "may end",
  }, (it, line) =>
    keepOn(it, 32, async () => {
      // The server ends the session for channels that carry nothing.
      if (!line.open) return await aborted(it.signal);
      const stream = await line.stream(OPEN);
      if (!await stream.answered()) throw new Error("there is no answer");
      await stream.write(CLOSE);
      await Promise.all([stream.end(), stream.drop()]);
    }, 500)),
  overOne({
    name: "quic-silent-streams",
    about: "as many streams as there may be, each in the middle of its OPEN",
    documented:
      "twice `maxChannels` may be open: calls wait while they arrive, and each takes more than it counts",
    outcome: "may end",
  }, async (it, line) => {
    let streams = 0;
    const begin = async () => {
      while (!it.signal.aborted && line.open) {
        await it.orTimeout(line.stream(OPEN.subarray(0, 3)));
        streams++;
      }
    };
    await Promise.all(Array.from({ length: 16 }, begin));
    it.check("there are many", streams > 1_000, `${streams} streams`);
  }),
  overOne({
    name: "quic-unread-answers",
    about: "endless answers on 200 streams, which are not read",
    outcome: "may end",
  }, async (it, line) => {
    const failures = await often(200, 8, async () => {
      await call(it, line, it.call("rows"));
    });
    it.check("all are opened", failures.length === 0, failures[0]);
    await aborted(it.signal);
  }),
  {
    setup: { transport: "quic", plainStreams: true },
    memory: PLAIN_STREAMS,
    name: "quic-plain-unread",
    about:
      "streams of qtalk-go's dialect, each with 2 MB that no handler reads",
    outcome: "may end",
    ms: 8_000,
    run: async (it) => {
      const line = await it.quic(PLAIN_PROTOCOL);
      const call = concat(utf8("!"), it.call("hang", 1));
      const unread = new Uint8Array(2_000_000);
      let streams = 0;
      const begin = async () => {
        while (!it.signal.aborted && line.open) {
          const stream = await it.orTimeout(line.stream(call));
          if (stream === undefined) return;
          streams++;
          void stream.write(unread);
        }
      };
      await Promise.all(Array.from({ length: 16 }, begin));
      it.check("there are many", streams > 20, `${streams} streams`);
      await aborted(it.signal);
    },
  },
  overOne({
    name: "quic-empty-data-flood",
    about: "empty DATA on one stream, again and again",
    outcome: "session ends",
  }, async (it, line) => {
    const stream = await call(it, line, it.header("sink"));
    const batch = repeated(data(0, ""));
    while (line.open && await it.orTimeout(stream.write(batch)));
    await aborted(it.signal);
  }),
  overOne({
    name: "quic-notices",
    about: "the one-way stream for closing, with messages that are unknown",
    outcome: "session ends",
  }, async (it, line) => {
    const writable = await line.conn.createUnidirectionalStream();
    const writer = writable.getWriter();
    await writer.write(new Uint8Array(5 * 1_000)).catch(() => {});
    await it.orTimeout(line.ended);
  }),
  overOne({
    name: "quic-datagram-frames",
    about: "DATAGRAM frames, which no session uses, again and again",
    outcome: "may end",
  }, async (it, line) => {
    const conn = line.conn as unknown as Deno.QuicConn;
    const bytes = noise(1_000);
    while (line.open && !it.signal.aborted) {
      for (let i = 0; i < 64; i++) {
        await conn.sendDatagram(bytes).catch(() => {});
      }
      line.sent += 64 * bytes.length;
      await turn();
    }
  }),
  ...both("wt", wt),
  {
    ...wt,
    name: "wt-other-path",
    about: "sessions at a path that is not served, again and again",
    memory: MANY_SESSIONS,
    outcome: "not judged",
    run: async (it) => {
      await keepOn(it, 4, async () => {
        const transport = await unless(
          webTransport.connect(`${it.address.slice(3)}other`, it.signal, {
            tls: { pin: it.pin! },
          }),
          ({ message }) => message.startsWith("no WebTransport session"),
        );
        await transport?.close();
      });
    },
  },
  {
    ...wt,
    name: "wt-unread-answers",
    about: "an endless answer, which is not read",
    outcome: "may end",
    run: async (it) => {
      const transport = await bytesOver(it);
      await transport.write(concat(OPEN, data(0, it.call("rows"))));
      await aborted(it.signal);
      await transport.close();
    },
  },
  {
    ...wt,
    name: "wt-empty-data-flood",
    about: "empty DATA, again and again",
    outcome: "not judged",
    run: async (it) => {
      const transport = await bytesOver(it);
      void drop(transport);
      await transport.write(concat(OPEN, data(0, it.header("sink"))));
      const batch = repeated(data(0, ""));
      let ended = false;
      while (!it.signal.aborted && !ended) {
        await it.orTimeout(transport.write(batch).catch(() => ended = true));
      }
      it.check("the session ends", ended);
      it.expectErrors(["limit-exceeded"]);
    },
  },
];
