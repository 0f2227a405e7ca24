/**
 * What our side does as the recorded client.
 *
 * @module
 */
import { CALLBACK_PROGRAMS } from "./client_callbacks.ts";
import {
  call,
  endSession,
  openOnly,
  pause,
  program,
  readAll,
  receive,
  receiveAll,
  request,
  sessionEnds,
  sessionGoesOn,
  type Step,
  timed,
  together,
  values,
} from "./client_steps.ts";
import { STREAM_PROGRAMS } from "./client_streams.ts";
import { argumentOf, plainName, type Recording } from "./recordings.ts";
import { type Casting, CODECS, type Program } from "./stage.ts";

/** What our side is, as the client of a recording. */
export function castClient(recording: Recording): Casting {
  const name = plainName(recording);
  const casting = { program: programOf(name, recording) };
  return name === "callback, the client accepts nothing"
    ? { ...casting, session: { backlog: 0 }, accepts: false }
    : casting;
}

function programOf(name: string, recording: Recording): Program {
  const steps = PROGRAMS[name] ?? STREAM_PROGRAMS[name];
  if (steps !== undefined) return program(...steps);
  const calledBack = CALLBACK_PROGRAMS[name];
  if (calledBack !== undefined) return calledBack;
  if (recording.kind === "call") return plainCall(recording);
  throw new RangeError(`There is no program for the client of "${name}"`);
}

/** Calls with nothing but selector and argument, as the recorded client did. */
function plainCall(recording: Recording): Program {
  const { codec, channels: [channel] } = recording;
  const selector = channel!.said.client.selectorAsSent!;
  const args = codec === "cbor" && recording.name in NOT_DECODED
    ? NOT_DECODED[recording.name]
    : CODECS[codec]().decode(argumentOf(recording));
  return program(call(selector, args, { as: DECODED[selector] }));
}

/** Arguments that the codec of this library does not read. */
const NOT_DECODED: Record<string, unknown> = {
  "a string that is not UTF-8": "a\ud800b",
};

/** What the client makes of replies, by the selector. */
const DECODED: Record<string, (reply: unknown) => unknown> = {
  "echo-bytes": (reply) =>
    typeof reply === "string"
      ? Uint8Array.from(atob(reply), (char) => char.charCodeAt(0))
      : reply,
  "echo-time": (reply) =>
    new Date(typeof reply === "number" ? reply * 1_000 : reply as string),
};

const after = call("echo", "after");

const PROGRAMS: Record<string, Step[]> = {
  // Several calls, or several values.
  "a reply of the wrong type": [call("echo", "five"), after],
  "multi, no value taken": [call("multi", null, { as: () => null })],
  "multi, one value taken": [call("multi")],
  "multi, two values taken": [values("multi", 2)],
  "multi, all values taken": [values("multi", 3)],
  "more values taken than returned": [values("echo", 2, 1)],
  Swap: [values("Swap", 2, [1, "a"])],
  "an error, then another call": [call("Fail", ["boom"]), after],
  "not found, then another call": [call("missing"), after],
  "a plain client of streamed replies": [call("count", 2), after],
  "two calls, one after the other": [
    call("echo", "a"),
    pause(10),
    call("echo", "b"),
  ],
  "two calls, back to back": [call("echo", "a"), call("echo", "b")],
  "three calls at once": [
    together(
      [call("turn", ["a", 30])],
      [call("turn", ["b", 10])],
      [call("turn", ["c", 20])],
    ),
  ],
  "numbers used again": [
    together(
      [call("slow", 50)],
      [pause(10), call("echo", "a")],
      [pause(20), call("echo", "b")],
      [pause(60), call("echo", "c")],
    ),
  ],

  // Windows that were made small.
  "a large argument in packets of 32 KiB": [call("size", "x".repeat(70_000))],
  "a large reply in packets of 32 KiB": [
    call("repeat", 70_000, { as: (reply) => (reply as string).length }),
  ],
  "a window of 16 bytes for the client": [
    call("Upper", ["a window of sixteen bytes"]),
  ],
  "a window of 16 bytes for the server": [
    call("Upper", ["a window of sixteen bytes"]),
  ],

  // Calls that are given up.
  "a value that cannot be encoded": [call("echo", NaN), after],
  "cancelled while the handler works": [
    call("slow", 200, { deadline: 100 }),
    after,
  ],
  "cancelled before the server has read the header": [
    call("slow", 50, { deadline: 100 }),
    after,
  ],
  "cancelled before the confirm": [
    call("echo", "never", { deadline: 100 }),
    after,
  ],
  "cancelled before it began": [
    call("echo", "never", { cancelled: true }),
    after,
  ],
  "cancelled between response header and value": [
    call("echo", "late", { deadline: 100 }),
    after,
  ],
  "cancelled between streamed arguments": [
    call("sum", timed([0, 3], [0, 1], [150]), { deadline: 100 }),
    after,
  ],
  "the wrong codec": [call("echo", "never", { deadline: 100 })],

  // Sessions that end, or could.
  "a handler that returns twice": [call("twice"), sessionGoesOn],
  "cancelled while sending: DATA after CLOSE": [
    call("sum", timed([0, 3], [0, 1], [110, 2]), { deadline: 100 }),
  ],
  "the client ends the session during a call": [
    together([call("slow", 200)], [pause(50), endSession]),
  ],
  "the server ends the session during a call": [
    call("die"),
    sessionEnds,
    after,
  ],
  "the server ends the session in mid-stream": [
    request("die-streaming", 3),
    receiveAll,
  ],
  "the server ends the session amid bytes": [
    request("die-in-bytes", 100),
    readAll,
  ],
  "the client ends the session in mid-stream": [
    request("ticks", 1_000),
    receive,
    receive,
    pause(5),
    endSession,
    receive,
  ],
  "the server ends the session before it confirms": [call("echo", "never")],

  // Channels that are refused, or closed at once.
  "a channel closed as soon as it is accepted": [openOnly],
  "a channel closed as soon as it is accepted, CLOSE first": [
    openOnly,
    sessionGoesOn,
  ],
  "nobody accepts": [call("echo", "never"), after],
  "a packet size that is refused": [call("echo", "never")],
};
