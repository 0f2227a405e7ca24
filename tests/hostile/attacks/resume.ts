/**
 * Sessions that survive their connection: handshakes, records, and returning.
 *
 * @module
 */
import {
  encodeHelloNew,
  encodeHelloResume,
  PART,
} from "../../../mux/resume/handshake/messages.ts";
import { random } from "../../../mux/resume/handshake/proofs.ts";
import { encodeAck, RECORD } from "../../../mux/resume/records.ts";
import {
  close,
  concat,
  data,
  GO_PACKET,
  GO_WINDOW,
  open,
} from "../../support/wire.ts";
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { repeated } from "../batches.ts";
import { MANY_SESSIONS, PROCESS_BUDGET, SMALL } from "../bounds.ts";
import { often } from "../honest_client.ts";
import { aborted, type Line } from "../line.ts";
import {
  begin,
  type Begun,
  dataRecord,
  drop,
  lineTransport,
  resume,
} from "../resume_line.ts";

const setup = { resume: true } as const;
const MIB = 1024 * 1024;

/**
 * What a session may keep: `maxUnacknowledged`, and as much in spare buffers and in
 * the queue that waits. When the attacker has left, it is kept for 60 s.
 */
const KEPT = 12 * MIB;

/** What a session without a connection takes, apart from what the pool counts. */
const DETACHED = 64 * 1024;

/** Connections at once in the handshake; a listener keeps 1,024 of them. */
const HALF_OPEN = 3_000;

/** The frame of a call whose answer never ends, and whose credit is large. */
function rowsCall(it: Attacker): Uint8Array {
  return concat(
    open(0, GO_WINDOW, GO_PACKET),
    // The server gives its first channel the ID 0.
    data(0, it.call("rows")),
  );
}

/** Checks that a session of the attack is served, and survives its connection. */
async function checkHonest(it: Attacker): Promise<void> {
  const honest = await it.dial(
    {
      resume: { timeout: 10_000 },
    } as Parameters<Attacker["dial"]>[0],
  );
  const answer = await honest.call("ping", []).catch(String);
  it.check("an honest session begins and is served", answer === "pong", answer);
}

/** Waits for the end of a connection, and closes it. */
async function untilRefused(it: Attacker, line: Line): Promise<boolean> {
  await it.orTimeout(line.ended);
  const isRefused = !line.open;
  await line.close();
  return isRefused;
}

/** Handshakes that are none, each on a connection of its own. */
function handshakes(victim: Begun): Record<string, Uint8Array> {
  const nonce = random(PART.nonce);
  const publicKey = random(PART.publicKey);
  const hello = encodeHelloNew({ limit: MIB, nonce, publicKey });
  const { id } = victim.secret;
  const other = hello.slice();
  other[7] = 2;
  const type = hello.slice();
  type[8] = 9;
  return {
    "a key that is no point of the curve": hello,
    "another version": other,
    "a message of another type": type,
    "a megabyte after the first byte": new Uint8Array(MIB).fill(0xc7),
    "an unknown session": encodeHelloResume({
      attempt: 1,
      nonce,
      id: random(PART.id),
    }),
    "an attempt of the past": encodeHelloResume({ attempt: 0, nonce, id }),
    "a proof that is wrong": concat(
      encodeHelloResume({ attempt: 1, nonce, id }),
      random(40),
    ),
    "a megabyte after a wrong proof": concat(
      encodeHelloResume({ attempt: 1, nonce, id }),
      new Uint8Array(MIB),
    ),
  };
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    name: "resume-refused",
    about: "handshakes with a wrong key, proof, attempt, session and length",
    setup,
    memory: SMALL,
    outcome: "may end",
    ms: 10_000,
    run: async (it) => {
      const victim = await begin(it);
      void drop(victim.transport);
      for (const [what, bytes] of Object.entries(handshakes(victim))) {
        const line = await it.line({ onBytes() {} });
        void line.write(bytes);
        it.check(`${what} is refused`, await untilRefused(it, line));
      }
      const cut = await it.line();
      await cut.write(
        encodeHelloResume({
          attempt: 1,
          nonce: random(PART.nonce),
          id: victim.secret.id,
        }).subarray(0, 30),
      );
      await cut.end();
      it.check("half a handshake is refused", await untilRefused(it, cut));
      it.check(
        "the session that was aimed at goes on",
        victim.transport.line.open,
      );
      await checkHonest(it);
      it.expectErrors([]);
    },
  },
  {
    name: "resume-lies",
    about: "offsets ahead of what was sent, and records that there are not",
    setup,
    memory: SMALL,
    outcome: "session ends",
    ms: 10_000,
    run: async (it) => {
      const wrong: Record<string, Uint8Array> = {
        "ACK of what was not sent": encodeAck(RECORD.ack, 2 ** 40),
        "PONG of what was not sent": encodeAck(RECORD.pong, 1),
        "DATA of length 0": dataRecord(new Uint8Array(0)),
        "a record of an unknown type": Uint8Array.of(7),
        "an ACK of 2^60": Uint8Array.of(2, 0x10, 0, 0, 0, 0, 0, 0, 0),
      };
      const codes: string[] = [];
      for (const [what, record] of Object.entries(wrong)) {
        const { transport } = await begin(it);
        void drop(transport);
        await transport.line.write(record);
        it.check(
          `${what} ends the session`,
          await untilRefused(it, transport.line),
        );
        codes.push("protocol-error");
      }
      const ahead = await begin(it);
      await ahead.transport.line.close();
      const { line } = await resume(it, ahead, 1, 1_000_000);
      it.check(
        "an offset ahead of what was sent ends the session",
        await untilRefused(it, line),
      );
      codes.push("protocol-error");
      it.expectErrors(codes);
    },
  },
  {
    name: "resume-behind",
    about: "resumes and says that what it has acknowledged has not arrived",
    setup,
    memory: SMALL,
    left: KEPT,
    outcome: "not judged",
    run: async (it) => {
      const session = await begin(it);
      let got = 0;
      await session.transport.line.write(dataRecord(rowsCall(it)));
      while (got < MIB) {
        const chunk = await it.orTimeout(session.transport.read());
        if (chunk === undefined || chunk === null) break;
        got += chunk.length;
      }
      // Fewer bytes of the stream than of the connection, which has headers, too.
      await session.transport.line.write(encodeAck(RECORD.ack, got >> 1));
      let attempt = 1;
      const end = performance.now() + it.ms / 2;
      while (performance.now() < end) {
        const next = await resume(it, session, attempt++, 0).catch(() => null);
        if (next === null) break;
        await it.orTimeout(next.read());
        await next.line.close();
      }
      it.check("it is let in each time", attempt > 3, `${attempt} attempts`);
    },
  },
  ...(["ack", "ping", "pong"] as const).map((type): Attack => ({
    name: `resume-${type}-flood`,
    about: `the record ${type.toUpperCase()}, again and again`,
    setup,
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      const { transport } = await begin(it);
      void drop(transport);
      const batch = repeated(encodeAck(RECORD[type], 0));
      await it.flood(transport.line, () => batch);
    },
  })),
  {
    name: "resume-tiny-data",
    about: "DATA of one byte each, to an end that claims to keep nothing",
    setup,
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      // A limit of 0 asks for an acknowledgement after every byte.
      const { transport } = await begin(it, 0);
      void drop(transport);
      const { line } = transport;
      await line.write(dataRecord(concat(open(0), close(0))));
      // DATA of qmux for a channel that is closed is dropped.
      const frame = data(0, new Uint8Array(60 * 1024));
      const bytes = Array.from(
        frame,
        (byte) => dataRecord(Uint8Array.of(byte)),
      );
      const batch = concat(...bytes);
      await it.flood(line, () => batch);
    },
  },
  {
    name: "resume-unacknowledged",
    about: "endless answers, of which nothing is ever acknowledged",
    setup,
    memory: SMALL,
    held: KEPT,
    left: KEPT,
    outcome: "may end",
    run: async (it) => {
      const { transport } = await begin(it);
      let got = 0;
      const count = async () => {
        for (;;) {
          const chunk = await transport.read();
          if (chunk === null) return;
          got += chunk.length;
        }
      };
      void count();
      await transport.line.write(dataRecord(rowsCall(it)));
      await aborted(it.signal);
      it.check(
        "it sends about 4 MiB and waits",
        got > 3 * MIB && got < 5 * MIB,
        `${got} bytes`,
      );
    },
  },
  {
    name: "resume-storm",
    about: "one session resumed without end, with megabytes to send again",
    setup,
    memory: SMALL,
    left: KEPT,
    outcome: "not judged",
    run: async (it) => {
      const session = await begin(it);
      await session.transport.line.write(dataRecord(rowsCall(it)));
      let attempt = 1, times = 0;
      const end = performance.now() + it.ms - 500;
      const again = async () => {
        while (performance.now() < end) {
          const next = await resume(it, session, attempt++).catch(() => null);
          if (next === null) continue;
          times++;
          await next.line.close();
        }
      };
      await it.orTimeout(Promise.all(Array.from({ length: 16 }, again)));
      it.check("it is resumed", times > 10, `${times} times`);
    },
  },
  {
    name: "resume-half-open",
    about: "3,000 connections that never finish their handshake",
    setup,
    // Each connection has a buffer to read into.
    memory: MANY_SESSIONS,
    outcome: "not judged",
    ms: 8_000,
    run: async (it) => {
      const victim = await begin(it);
      void drop(victim.transport);
      const hello = encodeHelloResume({
        attempt: 1,
        nonce: random(PART.nonce),
        id: victim.secret.id,
      });
      const lines: Line[] = [];
      const failures = await often(HALF_OPEN, 8, async () => {
        const line = await it.line({ onBytes() {} });
        lines.push(line);
        // Half of them in the middle of the first message.
        await line.write(lines.length % 2 ? hello : hello.subarray(0, 20));
      });
      it.check("all connect", failures.length === 0, failures[0]);
      await checkHonest(it);
      const left = () => lines.filter(({ open }) => open).length;
      while (left() > 1_100 && !it.signal.aborted) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      it.check("most are given up", left() <= 1_100, `${left()} are open`);
      it.check("the session goes on", victim.transport.line.open);
    },
  },
  {
    name: "resume-left",
    about: "sessions that begin and are left, hundreds of them",
    setup,
    // The buffers of sessions that have given way wait for the engine.
    memory: MANY_SESSIONS + PROCESS_BUDGET / 2,
    // 256 of them are kept for 60 s, within the pool of the listener.
    held: PROCESS_BUDGET + 256 * DETACHED,
    left: PROCESS_BUDGET + 256 * DETACHED,
    outcome: "may end",
    ms: 8_000,
    run: async (it) => {
      let begun = 0;
      const end = performance.now() + it.ms - 2_000;
      const leave = async () => {
        while (performance.now() < end && begun < 1_000) {
          const { transport } = await begin(it);
          await transport.line.write(dataRecord(rowsCall(it)));
          await transport.line.close();
          begun++;
        }
      };
      await it.orTimeout(Promise.all(Array.from({ length: 4 }, leave)));
      it.check("more than are kept", begun > 300, begun);
      await checkHonest(it);
    },
  },
  {
    name: "resume-cut-in-two",
    about: "handshakes and records in pieces of one byte",
    setup,
    memory: SMALL,
    left: KEPT,
    outcome: "lives",
    ms: 10_000,
    run: async (it) => {
      const transport = await lineTransport(it);
      const { line } = transport;
      const write = line.write.bind(line);
      line.write = async (...parts) => {
        for (const byte of concat(...parts)) {
          if (!await write(Uint8Array.of(byte))) return false;
        }
        return true;
      };
      const { startSession } = await import(
        "../../../mux/resume/handshake/handshake.ts"
      );
      await startSession(transport, MIB);
      await line.write(dataRecord(rowsCall(it)));
      let got = 0;
      while (got < 64 * 1024) {
        const chunk = await it.orTimeout(transport.read());
        if (chunk === undefined || chunk === null) break;
        got += chunk.length;
      }
      it.check("it is answered", got >= 64 * 1024, `${got} bytes`);
    },
  },
];
