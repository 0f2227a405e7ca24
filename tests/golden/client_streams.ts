/**
 * What our side does as the client of calls that stream values or bytes.
 *
 * @module
 */
import {
  call,
  close,
  end,
  pause,
  read,
  readAll,
  receive,
  receiveAll,
  request,
  send,
  type Step,
  stream,
  together,
  write,
  writePattern,
} from "./client_steps.ts";

/** Streams of arguments, with the count in front: their sums differ. */
const ARGUMENTS: Record<number, number[]> = {
  0: [0],
  1: [1, -7],
  5: [5, -7, 3, 13, 23, 33],
};

const toTheEnd = [receiveAll, close];

const VALUES: Record<string, Step[]> = {
  "streamed arguments, none at all": [call("unread", stream([]))],
  "streamed arguments, each when its time comes": [
    call("sum", stream([3, 1, 2, 3], 10)),
  ],
  "streamed arguments, more than the handler reads": [
    call("first", stream([10, 20, 30, 40, 50])),
  ],
  "streamed arguments, answered before the last": [
    call("first", stream([10, 20, 30], 10)),
  ],
  "continued with two values": [request("pair"), ...toTheEnd],
  "continued with an error": [request("refuses")],
  "streamed replies, each when its time comes": [
    request("ticks", 3),
    ...toTheEnd,
  ],
  "streamed replies, the client leaves": [
    request("ticks", 1_000),
    receive,
    receive,
    pause(5),
    close,
    call("echo", "after"),
  ],
  "streamed replies, unread and left": [
    request("count", 5),
    pause(10),
    close,
    receiveAll,
  ],
};
for (const [count, values] of Object.entries(ARGUMENTS)) {
  const doubled = stream([count, ...Array(Number(count)).keys()].map(Number));
  Object.assign(VALUES, {
    [`streamed arguments, ${count}`]: [call("sum", stream(values))],
    [`streamed replies, ${count}, CLOSE only`]: [
      request("count", Number(count)),
      ...toTheEnd,
    ],
    [`streamed replies, ${count}, EOF and CLOSE`]: [
      request("numbers", Number(count)),
      ...toTheEnd,
    ],
    [`streamed arguments and replies, ${count}`]: [
      request("doubled", doubled),
      ...toTheEnd,
    ],
  });
}

const BOTH_WAYS: Record<string, Step[]> = {
  "values both ways, the client ends first": [
    request("chat"),
    ...[1, 2, 3].flatMap((n) => [send(n), receive]),
    end,
    ...toTheEnd,
  ],
  "values both ways, sent at once": [
    request("chat"),
    ...[1, 2, 3].map(send),
    end,
    ...toTheEnd,
  ],
  "values both ways, none from the client": [
    request("chat"),
    end,
    ...toTheEnd,
  ],
  "values both ways, the server ends first": [
    request("two"),
    ...[1, 2].flatMap((n) => [send(n), receive]),
    receiveAll,
    ...[3, 4, "five"].map(send),
    end,
    pause(50),
    close,
  ],
  "values both ways, the client closes first": [
    request("chat"),
    send(1),
    receive,
    close,
    receive,
  ],
  "values both ways, the server closes first": [
    request("brief"),
    receiveAll,
    send(2),
    close,
  ],
  "both close at once": [request("leaves", 10), pause(9), close, receive],
  "both end their writing at once": [
    request("ends", 10),
    pause(9),
    end,
    ...toTheEnd,
  ],
  "the client's CLOSE and the server's EOF cross": [
    request("ends", 10),
    pause(9),
    close,
    receive,
  ],
  "values cross a CLOSE": [
    request("leaves", 10),
    pause(9),
    send(1),
    send(2),
    pause(2),
    end,
    ...toTheEnd,
  ],
  "EOF twice from the client": [
    request("chat"),
    send(1),
    receive,
    end,
    end,
    ...toTheEnd,
  ],
  "EOF twice from the server": [request("ends-twice"), ...toTheEnd],
  "values from the client only": [
    request("listens"),
    ...["a", null, [1]].map(send),
    end,
    ...toTheEnd,
  ],
};

const BYTES: Record<string, Step[]> = {
  "bytes, in pieces": [
    request("bytes"),
    write("ab"),
    read(2),
    write("c"),
    read(1),
    write("def"),
    read(1),
    read(2),
    end,
    readAll,
    close,
  ],
  "bytes, the server ends first": [
    request("greet"),
    readAll,
    write("good bye"),
    end,
    pause(50),
    close,
  ],
  "bytes, the client closes first": [
    request("bytes"),
    write("ab"),
    read(2),
    close,
    readAll,
  ],
  "bytes with a window of 100 and packets of 40": [
    request("bytes"),
    writePattern(250),
    end,
    readAll,
    close,
  ],
  "unread bytes fill a window of 100": [
    request("source", 120),
    pause(50),
    readAll,
    close,
  ],
};
for (const size of [0, 1, 1_024]) {
  Object.assign(BYTES, {
    [`bytes, ${size} there and back`]: [
      request("bytes"),
      writePattern(size),
      end,
      readAll,
      close,
    ],
    [`bytes, ${size} one way there`]: [
      request("sink"),
      writePattern(size),
      end,
      ...toTheEnd,
    ],
    [`bytes, ${size} one way back`]: [request("source", size), readAll, close],
  });
}

/** Calls of different kinds on one session, and calls through a proxy. */
const MORE: Record<string, Step[]> = {
  "three calls of three kinds at once": [
    together(
      [request("ticks", 3), ...toTheEnd],
      [
        pause(5),
        request("bytes"),
        pause(3),
        write("ab"),
        pause(17),
        write("c"),
        end,
        readAll,
        close,
      ],
      [pause(15), call("Fail", ["boom"])],
    ),
  ],
  "proxy, a plain call, front leg": [call("math.double", 21)],
  "proxy, an error, front leg": [call("Fail", ["boom"])],
  "proxy, not found, front leg": [call("no.such")],
  "proxy, streamed replies, front leg": [request("ticks", 3), ...toTheEnd],
  "proxy, values both ways, front leg": [
    request("chat"),
    ...[1, 2].flatMap((n) => [send(n), receive]),
    end,
    ...toTheEnd,
  ],
  "proxy, bytes, front leg": [
    request("bytes"),
    write("Hello world"),
    end,
    readAll,
    close,
  ],
};

/** Programs by the names of the recordings. */
export const STREAM_PROGRAMS: Readonly<Record<string, Step[]>> = {
  ...VALUES,
  ...BOTH_WAYS,
  ...BYTES,
  ...MORE,
};
