import { type Codec, json, memoryPair, type Responder } from "@qtalk/qtalk";
import {
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { CodecError } from "../../codec/errors.ts";
import { CountingController } from "../../tests/support/counting_controller.ts";
import type { Frame } from "../../tests/support/wire.ts";
import {
  rawCall,
  rawOpen,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import { adjust, concat, parseValues } from "../../tests/support/wire.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import { RemoteError, RpcError } from "../errors.ts";
import type { Call } from "../types.ts";

const DONE = { Error: null, Continue: false, E: null, C: false };
const CONTINUED = { ...DONE, Continue: true, C: true };

/**
 * Lets a handler answer a scripted call to its end; returns the frames of the
 * answer and the values in its DATA.
 */
async function answered(
  handler: (respond: Responder, call: Call) => unknown,
  header: unknown = { Selector: "x" },
): Promise<{ frames: string[]; values: unknown[] }> {
  const { peer, raw } = scriptedPeer({
    handler: async (call, respond) => {
      await handler(respond, call);
    },
  });
  const channel = await rawOpen(raw);
  await channel.values(header, null);
  const frames: Frame[] = [];
  do {
    frames.push((await within(raw.next(), "CLOSE"))!);
  } while (frames.at(-1)!.type !== "close");
  await peer.close();
  const later = (await raw.rest()).filter(({ type }) => type !== "close");
  assertEquals(later, [], "no frame after CLOSE");
  const payloads = frames.flatMap((frame) =>
    frame.type === "data" ? [frame.payload] : []
  );
  return {
    frames: frames.map(({ type }) => type),
    values: parseValues(concat(...payloads)),
  };
}

/** Calls a handler, and throws what its mistake throws. */
async function callHandler(
  handler: (respond: Responder) => Promise<void>,
): Promise<void> {
  const [client] = memoryPair({}, {
    handler: async (_call, respond) => {
      await handler(respond);
    },
  });
  await using _ = client;
  await client.call("x");
}

Deno.test("Responder.return: header and values are sent in one DATA, then EOF, then CLOSE", async () => {
  assertEquals(await answered((respond) => respond.return("a", [2])), {
    frames: ["data", "eof", "close"],
    values: [DONE, "a", [2]],
  });
});

Deno.test("Responder.return: a value of 64 KiB is sent in one DATA with the longer header for an extended peer", async () => {
  const text = "x".repeat(64 * 1024);
  const { frames, values } = await answered(
    (respond) => respond.return(text),
    { Selector: "x", Q: { v: 1 } },
  );
  assertEquals(frames, ["data", "eof", "close"]);
  assertEquals(values[1], text);
});

Deno.test("Responder.return: a response without values is null", async () => {
  const { values } = await answered((respond) => respond.return());
  assertEquals(values, [DONE, null]);
  const continued = await answered(async (respond) => {
    await (await respond.continue()).close();
  });
  assertEquals(continued.values, [CONTINUED, null]);
});

Deno.test("Responder.return: an Error as the only value is an error response with null as its value", async () => {
  assertEquals(await answered((respond) => respond.return(new Error("no"))), {
    frames: ["data", "eof", "close"],
    values: [{ ...DONE, Error: "no", E: "no" }, null],
  });
  const { values } = await answered((respond) => respond.return(new Error("")));
  assertEquals(values, [{ ...DONE, Error: "", E: "" }, null]);
});

Deno.test("Responder.return: an Error among other values cannot be encoded", async () => {
  const { values } = await answered(async (respond) => {
    await assertRejects(
      async () => await respond.return(1, new Error("no")),
      CodecError,
      "an Error",
    );
    await respond.return("instead");
  });
  assertEquals(values, [DONE, "instead"]);
});

Deno.test("Responder.continue: the channel stays open, and each further value is a frame", async () => {
  const answer = await answered(async (respond) => {
    const channel = await respond.continue("first", "second");
    await respond.send(3);
    await respond.send(undefined);
    await channel.close();
  });
  assertEquals(answer, {
    frames: ["data", "data", "data", "eof", "close"],
    values: [CONTINUED, "first", "second", 3, null],
  });
});

Deno.test("Responder.continue: an Error is an error response, and the caller closes the channel", async () => {
  const closed = Promise.withResolvers<void>();
  const [client] = memoryPair({}, {
    handler: async (_call, respond) => {
      const channel = await respond.continue(new Error("no"));
      channel.closed.then(closed.resolve);
    },
  });
  await using _ = client;
  await assertRejects(() => client.request("x"), RemoteError, "remote: no");
  await within(closed.promise, "the caller to close");
});

Deno.test("Responder.return: a value of 64 KiB is sent in one DATA frame", async () => {
  const { frames } = await answered((respond) =>
    respond.return("x".repeat(64 * 1024 - 2))
  );
  assertEquals(frames, ["data", "eof", "close"]);
});

Deno.test("Responder: a second response throws and sends nothing", async () => {
  const answer = await answered(async (respond) => {
    await respond.return("only");
    for (
      const again of [
        () => respond.return("again"),
        () => respond.return(new Error("again")),
        () => respond.continue("again"),
        () => respond.send("again"),
      ]
    ) {
      const error = await assertRejects(async () => await again(), RpcError);
      assertEquals(error.code, "invalid-state");
    }
  });
  assertEquals(answer.values, [DONE, "only"]);
});

Deno.test("Responder: a response after continue() throws and sends nothing", async () => {
  const answer = await answered(async (respond) => {
    const channel = await respond.continue("only");
    for (
      const again of [
        () => respond.return("again"),
        () => respond.continue("again"),
      ]
    ) {
      await assertRejects(
        async () => await again(),
        RpcError,
        "it is continued already",
      );
    }
    await channel.close();
  });
  assertEquals(answer.values, [CONTINUED, "only"]);
});

Deno.test("Responder.return: a second one throws synchronously", async () => {
  const [client] = memoryPair({}, {
    handler: (_call, respond) => {
      void respond.return(1);
      assertThrows(() => respond.return(2), RpcError, "returned already");
    },
  });
  await using _ = client;
  assertEquals([...(await client.request("x")).values], [1]);
});

Deno.test("Responder.send: it throws before continue()", async () => {
  await callHandler(async (respond) => {
    const error = await assertRejects(() => respond.send(1), RpcError);
    assertEquals(error.code, "invalid-state");
    assertEquals(
      error.message,
      'Cannot send value: the call of "/x" is pending, not continued',
    );
  });
});

Deno.test("Responder: a response that cannot be encoded is not sent, and the handler can give another", async () => {
  for (const first of ["return", "continue"] as const) {
    const { values } = await answered(async (respond) => {
      await assertRejects(
        async () => await respond[first]("fine", new Map()),
        CodecError,
        "a Map is not supported",
      );
      await respond.return("other");
    });
    assertEquals(values, [DONE, "other"]);
  }
});

Deno.test("Responder.return: a response that waits for memory and cannot be sent, not even as an error, ends its channel", async () => {
  for (const thrown of [new Error("no encoding"), "no encoding"]) {
    let isBroken = false;
    const plain = json();
    const codec: Codec = {
      name: "fragile",
      encode(value) {
        if (isBroken) throw thrown;
        return plain.encode(value);
      },
      decode: (bytes) => plain.decode(bytes),
    };
    const errors: unknown[] = [];
    const go = Promise.withResolvers<void>();
    const waits = Promise.withResolvers<() => Promise<void>>();
    const { peer, raw } = scriptedPeer({
      codec,
      onError: (error) => errors.push(error),
      handler: async (call, respond) => {
        if (call.selector === "/big") return respond.return("x".repeat(60_000));
        await go.promise;
        const sent = respond.return("late");
        waits.resolve(() => sent);
      },
    }, { closeTimeout: 1, maxHeldSize: 128 * 1024 });
    await using _ = peer;
    const late = await rawOpen(raw, 1);
    await late.values({ Selector: "late" }, null);
    // Its response is encoded, and waits for credit.
    const big = await rawOpen(raw, 2, 1_000);
    await big.values({ Selector: "big" }, null);
    await raw.find("data");
    go.resolve();
    const sent = await waits.promise;
    isBroken = true;
    const rejected = watch(sent());
    await big.close();
    await until(() => rejected.state === "rejected");
    const frames: Frame[] = [];
    do {
      frames.push((await within(raw.next(), "CLOSE"))!);
    } while (!isFor(frames.at(-1)!, 1, "close"));
    assertEquals(frames.filter((frame) => isFor(frame, 1, "data")), []);
    assertEquals(errors, [thrown]);
  }
});

/** Whether a frame is of a type, and for a channel of the script. */
function isFor(frame: Frame, recipient: number, type: Frame["type"]): boolean {
  return frame.type === type && "recipient" in frame &&
    frame.recipient === recipient;
}

Deno.test("Responder.send: a value that cannot be encoded leaves the call open", async () => {
  const { values } = await answered(async (respond) => {
    const channel = await respond.continue(1);
    await assertRejects(() => respond.send(new Map()), CodecError, "a Map");
    await respond.send(2);
    await channel.close();
  });
  assertEquals(values, [CONTINUED, 1, 2]);
});

Deno.test("Responder: responding to a caller that has gone is no error", async () => {
  const returned = Promise.withResolvers<unknown>();
  const { peer, raw } = scriptedPeer({
    handler: async (call, respond) => {
      await call.channel.closed;
      returned.resolve(respond.return("late", "x".repeat(1_000_000)));
    },
  });
  await using _ = peer;
  const channel = await rawCall(raw, "x", null);
  await channel.close();
  assertEquals(
    await within(returned.promise, "return() to resolve"),
    undefined,
  );
  const sent = raw.takePending().map(({ type }) => type);
  assertEquals(sent.includes("data"), false);
});

Deno.test("Responder.return: it resolves if the caller goes away meanwhile", async () => {
  const returned = Promise.withResolvers<unknown>();
  const { peer, raw } = scriptedPeer({
    handler: (_call, respond) => {
      const sent = respond.return("x".repeat(100_000));
      returned.resolve(sent);
      return sent;
    },
  });
  await using _ = peer;
  const channel = await rawOpen(raw, 0, 1_000);
  await channel.values({ Selector: "x" }, null);
  await raw.find("data");
  const watched = watch(returned.promise);
  await turn();
  assertEquals(watched.state, "pending");
  await channel.close();
  assertEquals(
    await within(returned.promise, "return() to resolve"),
    undefined,
  );
});

Deno.test("Responder.send: it waits while the caller grants no credit", async () => {
  const started = Promise.withResolvers<void>();
  let sent: Promise<void> | undefined;
  const { peer, raw } = scriptedPeer({
    handler: async (_call, respond) => {
      await respond.continue(1);
      sent = respond.send("x".repeat(5_000));
      started.resolve();
      await sent.catch(() => {});
    },
  });
  await using _ = peer;
  const channel = await rawOpen(raw, 0, 1_000);
  await channel.values({ Selector: "x" }, null);
  await started.promise;
  const watched = watch(sent!);
  await turn();
  assertEquals(watched.state, "pending");
  await channel.close();
  await assertRejects(() => within(sent!, "send() to reject"), Error, "closed");
});

/** A continued call whose caller grants `window` bytes at first. */
async function continuedCall(window: number) {
  const responder = Promise.withResolvers<Responder>();
  const { peer, raw } = scriptedPeer({
    handler: async (_call, respond) => {
      await respond.continue();
      responder.resolve(respond);
    },
  });
  const channel = await rawOpen(raw, 0, window);
  await channel.values({ Selector: "x" }, null);
  const respond = await responder.promise;
  await channel.read(2);
  return { peer, raw, channel, respond };
}

Deno.test("Responder.send: an aborted wait sends nothing, and the call can still be used", async () => {
  const { peer, raw, channel, respond } = await continuedCall(100);
  await using _ = peer;
  const controller = new CountingController();
  const { signal } = controller;
  // It takes the rest of the credit, so that nothing of the next one can leave.
  const before = watch(respond.send("x".repeat(100)));
  const aborted = watch(respond.send(["never", () => "called"], { signal }));
  await turn();
  assertEquals([aborted.state, controller.listeners], ["pending", 1]);
  assertEquals(peer.callbackCount, 1);
  const reason = new Error("enough");
  controller.abort(reason);
  await turn();
  assertStrictEquals(aborted.reason, reason);
  assertEquals([controller.listeners, peer.callbackCount], [0, 0]);
  const after = respond.send("after");
  await raw.send(adjust(channel.remote, 1_000));
  await after;
  assertEquals(before.state, "resolved");
  assertEquals(await channel.read(2), ["x".repeat(100), "after"]);
});

Deno.test("Responder.send: aborting a value that was sent in part closes the call", async () => {
  const { peer, raw, respond } = await continuedCall(100);
  await using _ = peer;
  const controller = new AbortController();
  const sent = watch(
    respond.send("x".repeat(500), { signal: controller.signal }),
  );
  await within(raw.find("data"), "DATA");
  const reason = new Error("enough");
  controller.abort(reason);
  await within(raw.find("close"), "CLOSE");
  assertStrictEquals(sent.reason, reason);
});

Deno.test("Responder.send: a signal that has aborted already rejects, and sends nothing", async () => {
  const { peer, channel, respond } = await continuedCall(1_000);
  await using _ = peer;
  const signal = AbortSignal.abort(new Error("before"));
  await assertRejects(() => respond.send(1, { signal }), Error, "before");
  await respond.send(2);
  assertEquals(await channel.read(1), [2]);
});
