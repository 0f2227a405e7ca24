import {
  CodecError,
  handlerFrom,
  json,
  memoryPair,
  MuxError,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { rawCall, scriptedPeer } from "../tests/support/raw_call.ts";
import {
  CallError,
  isRepeatable,
  isUsedUp,
  MAX_CAUSES,
  RemoteError,
} from "./errors.ts";
import { errorText, MAX_ERROR_TEXT } from "./wire/headers/error_header.ts";

Deno.test("errorText(): a long text is truncated, with an ellipsis", () => {
  const text = errorText(new Error("x".repeat(MAX_ERROR_TEXT + 1)));
  assertEquals(text.length, MAX_ERROR_TEXT);
  assertEquals(text.at(-1), "…");
  assertEquals(errorText("x".repeat(MAX_ERROR_TEXT)).length, MAX_ERROR_TEXT);
});

Deno.test("errorText(): the longest text of the largest characters fits into a header", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  const text = "\u0001".repeat(MAX_ERROR_TEXT);
  server.handle("fail", () => {
    throw new CallError(text);
  });
  const error = await assertRejects(() => client.call("fail"), RemoteError);
  assertInstanceOf(error, RemoteError);
  assertEquals(error.text, text);
});

Deno.test("RemoteError.code: it is the code of the handler's error", async () => {
  const [client, server] = memoryPair({}, { onError: () => {} });
  await using _ = client;
  server.handle("fail", () => {
    throw Object.assign(new Error("no such file"), { code: "ENOENT" });
  });
  server.handle("plain", (_call, respond) => respond.return(new Error("no")));
  const error = await assertRejects(() => client.call("fail"), RemoteError);
  assertEquals([error.text, error.code], ["no such file", "ENOENT"]);
  const plain = await assertRejects(() => client.call("plain"), RemoteError);
  assertEquals(plain.code, undefined);
});

Deno.test("RemoteError.code: a code that is not a short string is not sent", async () => {
  const [client, server] = memoryPair({}, { onError: () => {} });
  await using _ = client;
  for (const [name, code] of [["long", "x".repeat(65)], ["number", 7]]) {
    server.handle(`${name}`, () => {
      throw Object.assign(new Error("text"), { code });
    });
    const failing = () => client.call(`${name}`);
    const error = await assertRejects(failing, RemoteError, "remote: text");
    assertEquals(error.code, undefined);
  }
});

/** The text, and all else, that a caller gets of what a handler throws. */
async function thrown(value: unknown): Promise<RemoteError> {
  const [client] = memoryPair({}, {
    handler: () => {
      throw value;
    },
    onError: () => {},
  });
  await using _ = client;
  return await assertRejects(() => client.call("it"), RemoteError);
}

class NotFound extends Error {}
class NoRow extends TypeError {}
class Named extends Error {
  override readonly name = "HasName";
}

/** Values that handlers throw, and the texts that their callers get. */
const TEXTS: [what: string, value: unknown, text: string][] = [
  ["an object with a message", { message: "no such row" }, "no such row"],
  ["an object with a name", { name: "NoRow" }, "NoRow"],
  ["an object with a code", { code: "ENOENT" }, "ENOENT"],
  ["an object that becomes text", { toString: () => "as text" }, "as text"],
  ["an object without any text", { a: 1 }, "error without a text"],
  ["a list", ["a", "b"], "a,b"],
  ["no text", "", "error without a text"],
  ["an Error of a class without a text", new NotFound(), "NotFound"],
  ["one of a class with a built-in base", new NoRow(), "NoRow"],
  ["an Error with a name and no text", new Named(), "HasName"],
  ["an Error with blanks for a text", new NotFound("  "), "NotFound"],
  ["an Error without a text", new Error(), "Error"],
  ["a TypeError without a text", new TypeError(), "TypeError"],
  ["a DOMException", new DOMException("", "AbortError"), "AbortError"],
  ["a CallError without a text", new CallError(""), "CallError"],
  ["a class, not an instance of it", NotFound, "NotFound"],
  ["a number", 404, "404"],
  [
    "an AggregateError",
    new AggregateError([new Error("a")]),
    "AggregateError: a",
  ],
  [
    "an AggregateError with a text",
    new AggregateError([new Error("a"), "b", new NotFound()], "All failed"),
    "All failed: a; b; NotFound",
  ],
  [
    "an AggregateError in another one",
    new AggregateError([new AggregateError([new Error("deep")], "inner")], "o"),
    "o: inner: deep",
  ],
  [
    "a SuppressedError",
    Object.assign(new Error("during disposal"), {
      name: "SuppressedError",
      error: new Error("closing"),
      suppressed: new Error("working"),
    }),
    "during disposal: closing; working",
  ],
];

for (const [what, value, text] of TEXTS) {
  Deno.test(`error texts: a handler that throws ${what} answers with its text`, async () => {
    assertEquals((await thrown(value)).text, text);
  });
}

Deno.test("error texts: an AggregateError that contains itself has a text", async () => {
  const error = new AggregateError([], "round");
  error.errors.push(error, error);
  assertMatch((await thrown(error)).text, /^round: round: /);
});

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function failing(): never {
  throw new Error("a trap");
}

/** What throws when it is looked at, and the texts that callers get. */
const ILLEGIBLE: [what: string, value: unknown, text: string][] = [
  ["a revoked proxy", revoked(), "error without a text"],
  [
    "a proxy without a class",
    new Proxy({}, { getPrototypeOf: failing }),
    "error without a text",
  ],
  [
    "an Error whose properties throw",
    new Proxy(new Error(), { get: failing }),
    "error without a text",
  ],
  [
    "an Error with such a cause",
    new Error("text", { cause: revoked() }),
    "text",
  ],
  [
    "an Error with such a cause of its cause",
    new Error("text", { cause: new Error("", { cause: revoked() }) }),
    "text",
  ],
];

for (const [what, value, text] of ILLEGIBLE) {
  Deno.test(`error texts: ${what} is answered and reported, however it is thrown`, async () => {
    const reported: unknown[] = [];
    const onError = (error: unknown) => reported.push(error);
    const [client, server] = memoryPair({}, { onError });
    await using _ = client;
    const fail = () => {
      throw value;
    };
    server.handle("at once", fail);
    server.handle("later", async () => {
      await undefined;
      throw value;
    });
    server.handle(
      "stream",
      handlerFrom(async function* () {
        yield 1;
        await undefined;
        throw value;
      }),
    );
    server.handle("around", handlerFrom(fail));
    server.use("around", async (_call, next) => await next());
    const ways = ["at once", "later", "stream", "around"];
    for (const way of ways) {
      const call = async () => {
        for await (const _ of await client.request(way));
      };
      const { text: sent } = await assertRejects(call, RemoteError);
      assertEquals(sent, text, way);
    }
    assertEquals(server.stats.calls.answering, 0);
    assertEquals(reported.map((error) => error instanceof Error), [
      true,
      true,
      true,
      true,
    ]);
  });
}

Deno.test("errorText(): a text that is cut ends in a whole character", () => {
  for (const before of [MAX_ERROR_TEXT - 1, MAX_ERROR_TEXT - 2]) {
    const text = errorText("x".repeat(before) + "🦕🦕");
    assert(text.length <= MAX_ERROR_TEXT, `${text.length}`);
    assert(text.isWellFormed());
    assertMatch(text, /(?:x|🦕)…$/u);
  }
});

Deno.test("RemoteError: it has name, code, details and the texts of the causes, and no stack of the handler", async () => {
  const cause = new NotFound("no row 7", { cause: { message: "disk full" } });
  const saving = new CallError("Cannot save", {
    code: "unsaved",
    details: { row: 7, list: [null] },
    cause,
  });
  const error = await thrown(saving);
  assertEquals(
    [error.text, error.code, error.remoteName, error.selector],
    ["Cannot save", "unsaved", "CallError", "it"],
  );
  assertEquals(error.details, { row: 7, list: [null] });
  const first = error.cause as RemoteError;
  const second = first.cause as RemoteError;
  assertEquals([first.text, second.text], ["no row 7", "disk full"]);
  assertEquals(second.cause, undefined);
  const gone = new NotFound("gone");
  const bug = await thrown(gone);
  assertEquals([bug.remoteName, bug.code, bug.details], [
    "NotFound",
    undefined,
    undefined,
  ]);
  // Where the handler's errors were made, with line and column.
  const places = [cause, saving, gone].map(({ stack }) =>
    /errors_test\.ts:\d+:\d+/.exec(stack!)![0]
  );
  for (const sent of [error, bug]) {
    const all = Deno.inspect(sent, { depth: 10 }) + JSON.stringify(sent);
    for (const place of places) assert(!all.includes(place), all);
  }
});

Deno.test("RemoteError: causes without an end are cut", async () => {
  const round = new Error("round");
  round.cause = round;
  assertEquals((await thrown(round)).cause, undefined);
  let long = new Error("0");
  for (let i = 1; i < 100; i++) {
    long = new Error("x".repeat(999), { cause: long });
  }
  let depth = 0;
  for (
    let next = (await thrown(long)).cause as RemoteError | undefined;
    next !== undefined;
    next = next.cause as RemoteError | undefined
  ) {
    assertEquals(next.text.length, 256);
    depth++;
  }
  assertEquals(depth, MAX_CAUSES);
});

Deno.test("RemoteError: the longest text and causes fit into a header, with every codec", async () => {
  const causes = (n: number): ErrorOptions =>
    n === 0 ? {} : { cause: new Error("\u0001".repeat(999), causes(n - 1)) };
  const error = new CallError("\u0001".repeat(MAX_ERROR_TEXT), {
    ...causes(20),
    code: "\u0001".repeat(64),
  });
  for (const codec of [json(), cbor(), msgpack()]) {
    const [client] = memoryPair({ codec }, {
      codec,
      handler: () => Promise.reject(error),
    });
    await using _ = client;
    const failure = await assertRejects(() => client.call("x"), RemoteError);
    assertEquals(failure.text, error.message);
    assertEquals((failure.cause as RemoteError).text.length, 256);
  }
});

Deno.test("RemoteError: details belong to the program that gets them", async () => {
  const [client] = memoryPair({}, {
    handler: () => {
      throw new CallError("x", { details: { n: 1 } });
    },
  });
  await using _ = client;
  for (let i = 0; i < 3; i++) {
    const { details } = await assertRejects(
      () => client.call("x"),
      RemoteError,
    );
    assertEquals(details, { n: 1 });
    (details as { n: number }).n = 2;
  }
});

Deno.test("CallError.details: what cannot be sent is left out, and reported", async () => {
  for (
    const [details, text] of [
      [new Map(), "a Map is not supported"],
      [Symbol("s"), "a symbol is not supported"],
      [() => 1, "a function is not supported"],
      ["x".repeat(70_000), "it takes more than 65536 bytes"],
    ] as const
  ) {
    for (const streams of [false, true]) {
      const errors: unknown[] = [];
      const [client] = memoryPair({}, {
        handler: handlerFrom(
          streams
            ? async function* () {
              yield 1;
              throw new CallError("Cannot save", { code: "c", details });
            }
            : () => {
              throw new CallError("Cannot save", { code: "c", details });
            },
        ),
        onError: (error, { selector }) => errors.push(error, selector),
      });
      await using _ = client;
      const failure = await assertRejects(async () => {
        await Array.fromAsync(await client.request("x"));
      }, RemoteError);
      assertEquals(
        [failure.text, failure.code, failure.details],
        ["Cannot save", "c", undefined],
      );
      assertEquals(errors.length, 2);
      assertInstanceOf(errors[0], CodecError);
      assert(errors[0].message.includes(text), errors[0].message);
      assertEquals(errors[1], "/x");
    }
  }
});

Deno.test("RemoteError: an error that is passed on has one prefix, its code and its details", async () => {
  const [second] = memoryPair({}, {
    handler: () => {
      throw new CallError("boom", {
        code: "c",
        details: [1],
        cause: new Error("why"),
      });
    },
  });
  await using _ = second;
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const [first] = memoryPair({}, {
    handler: async (call, respond) =>
      respond.return(await second.call(call.selector)),
    onError,
  });
  await using __ = first;
  const [client] = memoryPair({}, {
    handler: async (_call, respond) => respond.return(await first.call("x")),
    onError,
  });
  await using ___ = client;
  const error = await assertRejects(() => client.call("x"), RemoteError);
  assertEquals(error.message, "remote: boom");
  assertEquals([error.code, error.details], ["c", [1]]);
  assertEquals((error.cause as RemoteError).message, "remote: why");
  assertEquals(errors, [], "passing on is no bug");
});

Deno.test("error texts: callers that are not extended get the text alone, as the reference sends it", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const cases: [unknown, string][] = [
    [new CallError("no", { code: "c", details: 1 }), "no"],
    [new RemoteError("boom"), "remote: boom"],
    [new Error(""), ""],
    [new NotFound(), "NotFound"],
  ];
  for (const [value, text] of cases) {
    using handling = peer.handle(
      "x",
      (_call, respond) => respond.return(value),
    );
    const call = await rawCall(raw, "x", null);
    const [header] = await call.read(2);
    assertEquals(header, { Error: text, E: text, Continue: false, C: false });
    await raw.find("close");
    await call.close();
    assert(handling);
  }
});

const BUSY = new RemoteError("busy", "busy");

async function* numbers() {
  yield* [1, 2, 3];
}

/** The error of a call for which there is no channel. */
async function unsent(args: unknown): Promise<unknown> {
  const session = { maxChannels: 1 };
  const [client, server] = memoryPair({ session }, { session });
  const begun = Promise.withResolvers<void>();
  server.handle("first", async (call) => {
    begun.resolve();
    await server.closed.finally(() => call.channel.close());
  });
  client.call("first").catch(() => {});
  await begun.promise;
  const waiting = assertRejects(() => client.call("x", args), MuxError);
  await client.close();
  return await waiting;
}

Deno.test("isRepeatable(): a call that was refused or not sent is, others are not", async () => {
  assert(isRepeatable(BUSY, [1]));
  assert(isRepeatable(new RemoteError("closing", "unavailable"), null));
  assert(isRepeatable(await unsent([1]), [1]));
  const lost = new MuxError("connection-lost", "Cannot go on: lost");
  assertEquals(isRepeatable(lost, [1]), false);
  assertEquals(isRepeatable(new RemoteError("oh"), [1]), false);
  assertEquals(isRepeatable(new CodecError("malformed", "x"), [1]), false);
});

Deno.test("isUsedUp(): a stream that is the argument is unread if the call was not sent", async () => {
  const stream = numbers();
  assertEquals(isUsedUp(await unsent(stream), stream), false);
  assertEquals(await Array.fromAsync(stream), [1, 2, 3]);
  assert(isUsedUp(BUSY, stream));
});

Deno.test("isUsedUp(): a stream within the arguments has ended with the call", async () => {
  const cancelled = Promise.withResolvers<void>();
  const ended = new ReadableStream({ cancel: () => cancelled.resolve() });
  const error = await unsent([{ body: ended }]);
  assert(isUsedUp(error, [{ body: ended }]));
  await cancelled.promise;

  const stream = () => new ReadableStream();
  for (
    const args of [
      [stream()],
      { deep: [{ er: stream() }] },
      new Map([["body", stream()]]),
      [new Set([stream()])],
      [numbers()],
    ]
  ) {
    assert(isUsedUp(BUSY, args));
    assertEquals(isRepeatable(BUSY, args), false);
  }
});

Deno.test("isUsedUp(): values that refer to each other are looked at once", () => {
  let args: unknown = [new Uint8Array(8), () => {}, null, "text"];
  for (let i = 0; i < 200; i++) args = { left: args, right: args };
  const circle: unknown[] = [args];
  circle.push(circle);
  assertEquals(isUsedUp(BUSY, circle), false);
});
