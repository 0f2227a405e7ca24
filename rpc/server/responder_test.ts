import { memoryPair, type Responder } from "@qtalk/qtalk";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CodecError } from "../../codec/errors.ts";
import {
  rawCall,
  rawOpen,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import { concat, type Frame, parseValues } from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import { RemoteError, RpcError } from "../errors.ts";
import type { Call } from "../types.ts";

const DONE = { Error: null, Continue: false, E: null, C: false };
const CONTINUED = { ...DONE, Continue: true, C: true };

/**
 * Has a handler answer one raw call to its end; returns the frames that came
 * for it, and the values in their DATA.
 */
async function answered(
  handler: (respond: Responder, call: Call) => unknown,
): Promise<{ frames: string[]; values: unknown[] }> {
  const { peer, raw } = scriptedPeer({
    handler: async (call, respond) => {
      await handler(respond, call);
    },
  });
  await rawCall(raw, "x", null);
  const frames: Frame[] = [];
  do {
    frames.push((await within(raw.next(), "CLOSE"))!);
  } while (frames.at(-1)!.type !== "close");
  await peer.close();
  const later = (await raw.rest()).filter(({ type }) => type !== "close");
  assertEquals(later, [], "no frame behind CLOSE");
  const payloads = frames.flatMap((frame) =>
    frame.type === "data" ? [frame.payload] : []
  );
  return {
    frames: frames.map(({ type }) => type),
    values: parseValues(concat(...payloads)),
  };
}

/** What a mistake of a handler throws. */
async function mistakes(
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

Deno.test("a response is header and values in one DATA, then EOF, then CLOSE", async () => {
  assertEquals(await answered((respond) => respond.return("a", [2])), {
    frames: ["data", "eof", "close"],
    values: [DONE, "a", [2]],
  });
});

Deno.test("a response without values has null for one", async () => {
  const { values } = await answered((respond) => respond.return());
  assertEquals(values, [DONE, null]);
  const continued = await answered(async (respond) => {
    await (await respond.continue()).close();
  });
  assertEquals(continued.values, [CONTINUED, null]);
});

Deno.test("an Error as the only value is an error response with null for a value", async () => {
  assertEquals(await answered((respond) => respond.return(new Error("no"))), {
    frames: ["data", "eof", "close"],
    values: [{ ...DONE, Error: "no", E: "no" }, null],
  });
  const { values } = await answered((respond) => respond.return(new Error("")));
  assertEquals(values, [{ ...DONE, Error: "", E: "" }, null]);
});

Deno.test("an Error among other values is a value without a form", async () => {
  const { values } = await answered(async (respond) => {
    await assertRejects(
      async () => await respond.return(1, new Error("no")),
      CodecError,
      "a Error",
    );
    await respond.return("instead");
  });
  assertEquals(values, [DONE, "instead"]);
});

Deno.test("a continued response stays open, and sends more values, each a frame", async () => {
  const answer = await answered(async (respond) => {
    const channel = await respond.continue("first", "second");
    await respond.send(3);
    await respond.send(undefined);
    await channel.close();
  });
  assertEquals(answer, {
    frames: ["data", "data", "data", "close"],
    values: [CONTINUED, "first", "second", 3, null],
  });
});

Deno.test("a continued response can be an error, which closes the caller's end", async () => {
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

Deno.test("a value of 64 KiB travels in one DATA frame", async () => {
  const { frames } = await answered((respond) =>
    respond.return("x".repeat(64 * 1024 - 2))
  );
  assertEquals(frames, ["data", "eof", "close"]);
});

Deno.test("a second response throws here and sends nothing", async () => {
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

Deno.test("a response after continue throws here and sends nothing", async () => {
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

Deno.test("a second return throws at once, for a handler that awaits nothing", async () => {
  const [client] = memoryPair({}, {
    handler: (_call, respond) => {
      void respond.return(1);
      assertThrows(() => respond.return(2), RpcError, "returned already");
    },
  });
  await using _ = client;
  assertEquals([...(await client.request("x")).values], [1]);
});

Deno.test("send before continue is a mistake", async () => {
  await mistakes(async (respond) => {
    const error = await assertRejects(() => respond.send(1), RpcError);
    assertEquals(error.code, "invalid-state");
    assertEquals(
      error.message,
      "Cannot send value: the call is pending, not continued",
    );
  });
});

Deno.test("a response that cannot be encoded is none: the handler may give another", async () => {
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

Deno.test("a value that cannot be encoded leaves a continued call open", async () => {
  const { values } = await answered(async (respond) => {
    const channel = await respond.continue(1);
    await assertRejects(() => respond.send(new Map()), CodecError, "a Map");
    await respond.send(2);
    await channel.close();
  });
  assertEquals(values, [CONTINUED, 1, 2]);
});

Deno.test("responding to a caller that is gone is no error", async () => {
  const done = Promise.withResolvers<void>();
  const { peer, raw } = scriptedPeer({
    handler: async (call, respond) => {
      try {
        await call.channel.closed;
        await respond.return("late", "x".repeat(1_000_000));
        done.resolve();
      } catch (error) {
        done.reject(error);
      }
    },
  });
  await using _ = peer;
  const channel = await rawCall(raw, "x", null);
  await channel.close();
  await within(done.promise, "return() to resolve");
});

Deno.test("return resolves when the caller goes away in the middle of it", async () => {
  const done = Promise.withResolvers<void>();
  const { peer, raw } = scriptedPeer({
    handler: (_call, respond) =>
      respond.return("x".repeat(100_000)).then(done.resolve, done.reject),
  });
  await using _ = peer;
  const channel = await rawOpen(raw, 0, 1_000);
  await channel.values({ Selector: "x" }, null);
  await raw.find("data");
  await channel.close();
  await within(done.promise, "return() to resolve");
});

Deno.test("send waits while the caller grants no credit", async () => {
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
