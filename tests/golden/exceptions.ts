/**
 * Where our side departs from its recorded counterpart: every difference by
 * name, with its reason, and with what our side does instead.
 *
 * @module
 */
import type { Side } from "./capture.ts";
import { plainName, type Recording } from "./recordings.ts";
import type { CodecName } from "./wire_value.ts";

/** A difference, in one recording or in several. */
export interface Exception {
  /** The recordings; those that are not paced go with the others. */
  names: readonly string[];
  /** The side that is ours. */
  side: Side;
  /** The codec, if it is in one of them only. */
  codec?: CodecName;
  /** Why. */
  reason: string;
  /**
   * Whether our side may have no such line: the recorded side closes the channel
   * without waiting for it.
   */
  unlessClosed?: boolean;
  /**
   * What our side has in a line of the report; null if it has no such line.
   * `late` is a line for what our side does not do where the recorded side waits
   * for it.
   */
  ours: Readonly<Record<string, string | RegExp | null>>;
}

/** Numbers, text and time: what JavaScript has another form for. */
const VALUES: readonly Exception[] = [
  {
    names: ["echo minus zero"],
    side: "server",
    reason: "-0 is sent as the integer 0",
    ours: { "client 0: value 1": "0" },
  },
  {
    names: ["echo minus zero"],
    side: "client",
    reason: "-0 is sent as the integer 0",
    ours: { "client 0: value 1": "0" },
  },
  {
    names: ["echo 100 as a double"],
    side: "server",
    codec: "cbor",
    reason: "a float that is integral is sent as an integer",
    ours: { "client 0: value 1": "100" },
  },
  {
    names: ["echo 100 as a double"],
    side: "client",
    codec: "cbor",
    reason: "a float that is integral is sent as an integer",
    ours: { "client 0: value 1": "100" },
  },
  {
    names: ["echo 2^63-1"],
    side: "server",
    codec: "json",
    reason: "an integer beyond 2^53 is kept as a bigint, not rounded",
    ours: { "client 0: value 1": "9223372036854775807" },
  },
  {
    names: ["echo -2^63"],
    side: "server",
    codec: "json",
    reason: "an integer beyond 2^53 is kept as a bigint, not rounded",
    ours: { "client 0: value 1": "-9223372036854775808" },
  },
  {
    names: ["echo 2^64-1"],
    side: "server",
    codec: "json",
    reason: "an integer beyond 2^53 is kept as a bigint, not rounded",
    ours: { "client 0: value 1": "18446744073709551615" },
  },
  {
    names: ["echo a map with numbers as keys"],
    side: "server",
    codec: "cbor",
    reason: "the keys of an object are text",
    ours: { "client 0: value 1": '{"-2": "minus two", "1": "one"}' },
  },
  {
    names: ["echo a map with numbers as keys"],
    side: "client",
    codec: "cbor",
    reason: "the keys of an object are text",
    ours: {
      "client 0: value 1": '{"-2": "minus two", "1": "one"}',
      "outcome 0": '{"-2": "minus two", "1": "one"}',
    },
  },
  {
    names: ["a string that is not UTF-8"],
    side: "client",
    codec: "cbor",
    reason: "strings are Unicode: what is not valid in one is sent as U+FFFD",
    ours: { "client 0: value 1": '"a\ufffdb"' },
  },
  {
    names: ["echo-time"],
    side: "server",
    codec: "cbor",
    reason: "a Date is sent as text with tag 0",
    ours: {
      "client 0: value 1": JSON.stringify('0("2024-02-29T12:34:56.000Z")'),
    },
  },
  {
    names: ["echo-time with a zone"],
    side: "server",
    codec: "json",
    reason: "a Date has no zone, and is sent as text with milliseconds",
    ours: { "client 0: value 1": '"2024-02-29T10:34:56.000Z"' },
  },
  {
    names: ["echo-time with a zone"],
    side: "server",
    codec: "cbor",
    reason: "a Date has no zone, and is sent as text with tag 0",
    ours: {
      "client 0: value 1": JSON.stringify('0("2024-02-29T10:34:56.000Z")'),
    },
  },
];

/** Texts of errors that the reference's decoders and runtime make. */
const TEXTS: readonly Exception[] = [
  {
    names: ["an argument of the wrong type"],
    side: "server",
    reason: "the text is that of the handler's own check",
    ours: {
      "client 0: header":
        '{"Continue": false, "Error": "argument: expected a string, got a number"}',
    },
  },
  {
    names: ["a string that is not UTF-8"],
    side: "server",
    codec: "cbor",
    reason: "the text is that of this library's decoder",
    ours: { "client 0: header": /"Error": "argument: .*UTF-8"/ },
  },
  {
    names: ["no list of parameters"],
    side: "server",
    reason: "the text says what a function handler got",
    ours: {
      "client 0: header":
        '{"Continue": false, "Error": "fn: args: expected an array, got string"}',
    },
  },
  {
    names: ["a panic"],
    side: "server",
    reason: "an error is sent without the place where it was thrown",
    ours: {
      "client 0: header": '{"Continue": false, "Error": "panic: boom"}',
    },
  },
  {
    names: ["the wrong codec"],
    side: "server",
    reason: "the call is answered, in a codec that the caller can recognize",
    unlessClosed: true,
    ours: {
      "client 0: header": /"Error": ".*looks like .*accepts only /,
      "client 0: value 1": "null",
    },
  },
  {
    names: ["callback, the client accepts nothing"],
    side: "server",
    reason: "the text is that of this library for a channel that is refused",
    ours: { "client 0: header": /"Error": "Cannot open channel: .*refused/ },
  },
  {
    names: ["a function passed and taken away"],
    side: "client",
    reason: "a function that was released is said to be that",
    ours: { "server 0: header": /"Error": ".*was released"/ },
  },
  {
    names: ["a function kept and called later"],
    side: "client",
    reason: "a function that was released is said to be that",
    ours: { "server 2: header": /"Error": ".*was released"/ },
  },
  {
    names: ["a reply of the wrong type"],
    side: "client",
    reason: "a reply is decoded to what it is; the program checks its type",
    ours: { "outcome 0": '"five"' },
  },
  {
    names: ["a value that cannot be encoded"],
    side: "client",
    codec: "json",
    reason: "a call is encoded before its channel is opened",
    ours: {
      "client 0": null,
      "client 0: header": null,
      "client 0: CLOSE": null,
      "client 0: late": "yes",
      "outcome 0": "fails: CodecError unsupported-type",
    },
  },
  {
    names: ["nobody accepts", "a packet size that is refused"],
    side: "client",
    reason: "the error is a MuxError",
    ours: { "outcome 0": "fails: MuxError open-refused" },
  },
];

/** Channels and calls that end. */
const ENDS: readonly Exception[] = [
  {
    names: ["a handler that returns twice"],
    side: "server",
    reason: "a second return is an error for the handler, and sends nothing",
    ours: {
      "client 0: value 2": null,
      "client 0: value 3": null,
      "client 0: late": "yes",
    },
  },
  {
    names: ["a handler that returns twice"],
    side: "client",
    reason: "DATA for a channel that is closed is dropped",
    ours: { "outcome 1": '"the session goes on"' },
  },
  {
    names: ["cancelled while sending: DATA after CLOSE"],
    side: "server",
    reason: "DATA for a channel that is closed is dropped",
    ours: { "outcome 0": null, "outcome 0: late": "yes" },
  },
  {
    names: ["cancelled while sending: DATA after CLOSE"],
    side: "client",
    reason: "nothing is sent after CLOSE",
    ours: { "client 0: value 3": null, "client 0: late": "yes" },
  },
  {
    names: ["a channel closed as soon as it is accepted, CLOSE first"],
    side: "client",
    reason: "the answer to an early CLOSE waits for the OPEN_CONFIRM",
    ours: {
      "client 0: late": "yes",
      "outcome 0: late": "yes",
      "outcome 0": "null",
      "outcome 1": "fails: EOF",
      "outcome 2": '"the session goes on"',
    },
  },
  {
    names: ["cancelled before the confirm"],
    side: "client",
    reason: "a channel that is confirmed too late is closed, not leaked",
    ours: { "client 0: CLOSE": "1" },
  },
  {
    names: ["cancelled before it began"],
    side: "client",
    reason: "a call that was given up before it began opens no channel",
    ours: { "client 0": null, "client 0: late": "yes" },
  },
  {
    names: ["values cross a CLOSE"],
    side: "client",
    reason: "EOF is not sent after the answer to CLOSE, which comes first here",
    ours: { "client 0: EOF": null, "client 0: late": "yes" },
  },
  {
    names: ["the client's CLOSE and the server's EOF cross"],
    side: "server",
    reason: "EOF is not sent after the answer to CLOSE, which comes first here",
    ours: { "client 0: EOF": null, "client 0: late": "yes" },
  },
  {
    names: ["streamed arguments, answered before the last"],
    side: "client",
    reason: "a caller reads while it sends",
    ours: { "outcome 0": "10" },
  },
  {
    names: ["streamed replies, unread and left"],
    side: "client",
    reason: "closing a channel drops what was not read",
    ours: {
      "outcome 1": "fails: EOF",
      "outcome 2": null,
      "outcome 3": null,
      "outcome 4": null,
      "outcome 5": null,
      "outcome 6": null,
      "outcome 6: late": "yes",
    },
  },
  {
    names: ["values both ways, the server closes first"],
    side: "client",
    reason: "sending on a closed channel is a MuxError",
    ours: { "outcome 3": "fails: MuxError channel-closed" },
  },
  {
    names: ["the client ends the session during a call"],
    side: "client",
    reason: "the error is a MuxError",
    ours: { "outcome 0": "fails: MuxError session-closed" },
  },
  {
    names: ["the server ends the session during a call"],
    side: "client",
    reason: "the error is a MuxError",
    ours: {
      "outcome 0": "fails: MuxError connection-lost",
      "outcome 2": "fails: MuxError connection-lost",
    },
  },
  {
    names: ["the server ends the session before it confirms"],
    side: "client",
    reason: "the error is a MuxError",
    ours: { "outcome 0": "fails: MuxError connection-lost" },
  },
  {
    names: ["the server ends the session in mid-stream"],
    side: "client",
    reason: "values without EOF or CLOSE are not complete",
    ours: { "outcome 4": "fails: MuxError connection-lost" },
  },
  {
    names: ["the server ends the session amid bytes"],
    side: "client",
    reason: "bytes without EOF or CLOSE are not complete",
    ours: { "outcome 2": "fails: MuxError connection-lost" },
  },
  {
    names: ["the client ends the session in mid-stream"],
    side: "client",
    reason: "receiving on a session that was closed is a MuxError",
    ours: { "outcome 3": "fails: MuxError session-closed" },
  },
];

/** All of them. */
export const EXCEPTIONS: readonly Exception[] = [...VALUES, ...TEXTS, ...ENDS];

/** The exception for a recording, if our side departs from it. */
export function exceptionFor(
  side: Side,
  recording: Recording,
): Exception | undefined {
  return EXCEPTIONS.find((exception) =>
    exception.side === side &&
    (exception.codec ?? recording.codec) === recording.codec &&
    exception.names.includes(plainName(recording))
  );
}
