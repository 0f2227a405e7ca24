// Whether what looks complete is complete (rpc/SPEC.md, "Endings").

import {
  type ByteStream,
  forward,
  handlerFrom,
  memoryPair,
  memoryTransports,
  Peer,
  qmux,
} from "@qtalk/qtalk";
import { proxy } from "@qtalk/qtalk/mux";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { forSeeds } from "../tests/support/random.ts";
import { rawAccept, scriptedPeer } from "../tests/support/raw_call.ts";
import { within } from "../tests/support/within.ts";
import { RpcError } from "./errors.ts";

/** Reads all bytes; gives how many came, and the error that ended them. */
async function drain(
  readable: ReadableStream<Uint8Array>,
): Promise<{ size: number; error: unknown }> {
  let size = 0;
  try {
    for await (const chunk of readable) size += chunk.length;
    return { size, error: undefined };
  } catch (error) {
    return { size, error };
  }
}

/** Bytes in pieces of 1,000, which fail before byte `failAt`. */
function bytes(size: number, failAt = Infinity): ByteStream {
  let sent = 0;
  return {
    readable: new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent >= failAt) return controller.error(new Error("broke"));
        if (sent >= size) return controller.close();
        const next = Math.min(1_000, size - sent, failAt - sent);
        sent += next;
        controller.enqueue(new Uint8Array(next));
      },
    }),
    writable: new WritableStream<Uint8Array>(),
  };
}

/** Values from 0 on; the producer throws before value `failAt`. */
async function* values(count: number, failAt = Infinity) {
  for (let i = 0; i < count; i++) {
    await undefined;
    if (i >= failAt) throw new Error("broke");
    yield i;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}

Deno.test("endings: bytes that are whole end cleanly", async () => {
  const [client] = memoryPair({}, { handler: handlerFrom(() => bytes(5_500)) });
  await using _ = client;
  const response = await client.request("x");
  assertEquals(await drain(response.readable), {
    size: 5_500,
    error: undefined,
  });
  await response.close();
});

Deno.test("endings: bytes of a producer that fails are incomplete at the caller", async () => {
  const [client] = memoryPair({}, {
    handler: handlerFrom(() => bytes(5_500, 3_000)),
  });
  await using _ = client;
  const response = await client.request("x");
  const { size, error } = await drain(response.readable);
  assertEquals(size, 3_000);
  assertEquals(codeOf(error), "incomplete");
});

Deno.test("endings: a handler that fails after it continued is incomplete at the caller", async () => {
  const [client] = memoryPair({}, {
    handler: async (_call, respond) => {
      await respond.continue();
      await respond.send("one");
      throw new Error("broke");
    },
  });
  await using _ = client;
  const response = await client.request("x");
  assertEquals(await response.receive(), "one");
  const error = await assertRejects(() => response.receive(), RpcError);
  assertEquals(error.code, "incomplete");
});

/** A call whose handler reads all bytes that the caller writes. */
async function hearing() {
  const heard = Promise.withResolvers<{ size: number; error: unknown }>();
  const [client] = memoryPair({}, {
    handler: async (call, respond) => {
      await call.receive();
      const channel = await respond.continue();
      heard.resolve(await drain(channel.readable));
    },
  });
  const response = await client.request("x");
  const writer = response.writable.getWriter();
  return { client, response, writer, heard: heard.promise };
}

Deno.test("endings: bytes that the caller aborts are cancelled at the handler", async () => {
  const { client, writer, heard } = await hearing();
  await using _ = client;
  await writer.write(new Uint8Array(10));
  await writer.abort(new Error("no more"));
  const { size, error } = await within(heard, "the end");
  assertEquals([size, codeOf(error)], [10, "cancelled"]);
});

Deno.test("endings: bytes are whole at the handler when the caller closes the response", async () => {
  const { client, response, writer, heard } = await hearing();
  await using _ = client;
  await writer.write(new Uint8Array(10));
  await response.close();
  assertEquals(await within(heard, "the end"), {
    size: 10,
    error: undefined,
  });
});

Deno.test("endings: a stream of values without its trailer is incomplete, even after EOF", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const requesting = peer.request("x");
  const channel = await rawAccept(raw);
  const header = { Error: null, Continue: true, Q: { v: 1, trailer: true } };
  await channel.values(header, null, 1);
  const response = await within(requesting, "the response");
  await channel.eof();
  await channel.close();
  assertEquals(await response.receive(), 1);
  const error = await assertRejects(() => response.receive(), RpcError);
  assertEquals(error.code, "incomplete");
});

Deno.test("endings: CLOSE alone ends the data of a responder that is not extended", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const requesting = peer.request("x");
  const channel = await rawAccept(raw);
  await channel.values({ Error: null, Continue: true }, null, 1);
  const response = await within(requesting, "the response");
  await channel.close();
  assertEquals(await response.receive(), 1);
  assertEquals(await response.receive(), undefined);
});

Deno.test("endings: a caller that leaves its streamed arguments behind does not end them", async () => {
  const heard = Promise.withResolvers<unknown>();
  const [client] = memoryPair({}, {
    handler: async (call, respond) => {
      await call.receive();
      await respond.continue();
      try {
        for await (const _ of call);
        heard.resolve("complete");
      } catch (error) {
        heard.resolve(codeOf(error));
      }
    },
  });
  await using _ = client;
  async function* endless() {
    yield 1;
    await new Promise<void>(() => {});
  }
  const response = await client.request("x", endless());
  await response.close();
  assertEquals(await within(heard.promise, "the end"), "cancelled");
});

Deno.test("endings: what a handler has written to a response precedes the end that its caller sends there", async () => {
  const { client: backend, heard, response, writer } = await hearing();
  const [client] = memoryPair({}, {
    handler: handlerFrom(() => {
      // More than the window, so that the stream holds most of it.
      for (let i = 0; i < 20; i++) {
        writer.write(new Uint8Array(100_000)).catch(() => {});
      }
      writer.releaseLock();
      return response;
    }),
  });
  await using _ = client, __ = backend;
  const passedOn = await client.request("x");
  await passedOn.writable.close();
  const { size, error } = await within(heard, "the end");
  assertEquals([size, error], [2_000_000, undefined]);
});

for (const way of ["writable", "channel"] as const) {
  Deno.test(`endings: values that wait for memory are not left out unseen when a handler closes its ${way}`, async () => {
    const sent = Promise.withResolvers<unknown[]>();
    const [client] = memoryPair({}, {
      session: { maxHeldSize: 1024 * 1024 },
      handler: async (_call, respond) => {
        const channel = await respond.continue();
        const sends = Array.from(
          { length: 100 },
          (_, i) => respond.send(`${i}:${"x".repeat(10_000)}`).catch((e) => e),
        );
        if (way === "writable") await channel.writable.close();
        else await channel.close();
        sent.resolve(await Promise.all(sends));
      },
    });
    await using _ = client;
    const response = await client.request("x");
    const got: unknown[] = [];
    let failure: unknown;
    try {
      for await (const value of response) got.push(value);
    } catch (error) {
      failure = error;
    }
    const errors = (await within(sent.promise, "the handler")).filter((e) =>
      e !== undefined
    );
    if (way === "writable") assertEquals([got.length, errors.length], [100, 0]);
    else assertEquals(codeOf(failure), "incomplete");
  });
}

/** A way from a client to a service, some of it through others. */
interface Way {
  readonly client: Peer;
  /** Ends every session of the way, from the far end or in its middle. */
  cut(): void;
  close(): Promise<void>;
}

/** Chains the service through `kinds` of hops. */
function wayThrough(
  kinds: readonly ("forward" | "proxy")[],
  handler: ReturnType<typeof handlerFrom>,
): Way {
  const [left, right] = memoryTransports();
  const server = new Peer(qmux(right), { handler });
  const all: { close(): Promise<void> }[] = [server];
  const proxied: Promise<void>[] = [];
  let near = qmux(left);
  for (const kind of kinds) {
    const [a, b] = memoryTransports();
    if (kind === "proxy") {
      // Its sessions end a little later than those of the peers beside it.
      proxied.push(proxy(qmux(b), near).catch(() => {}));
    } else {
      const backend = new Peer(near);
      all.push(backend, new Peer(qmux(b), { handler: forward(backend) }));
    }
    near = qmux(a);
  }
  const client = new Peer(near);
  return {
    client,
    cut: () => void server.close(),
    async close() {
      await client.close();
      await Promise.all(all.map((item) => item.close()));
      await Promise.all(proxied);
    },
  };
}

Deno.test("endings: through proxies and forwarding, a clean end means that everything arrived", async () => {
  await forSeeds(60, async (random) => {
    const size = random.int(1, 200);
    const fate = random.pick(["whole", "throws", "cut"] as const);
    const at = random.int(0, size - 1);
    const kinds = Array.from(
      { length: random.int(0, 3) },
      () => random.pick(["forward", "proxy"] as const),
    );
    let way: Way | undefined = undefined;
    const stop = (i: number) => {
      if (fate === "cut" && i === at) way!.cut();
    };
    const failAt = fate === "throws" ? at : Infinity;
    const handler = handlerFrom({
      async *values() {
        for await (const i of values(size, failAt)) {
          stop(i);
          yield i;
        }
      },
      bytes: () => {
        const { readable, writable } = bytes(size * 1_000, failAt * 1_000);
        let i = 0;
        const counted = readable.pipeThrough(
          new TransformStream<Uint8Array, Uint8Array>({
            transform(chunk, controller) {
              stop(i++);
              controller.enqueue(chunk);
            },
          }),
        );
        return { readable: counted, writable };
      },
    });
    way = wayThrough(kinds, handler);
    const what = `${fate} at ${at} of ${size} through ${kinds.join()}`;
    const wantsBytes = random.chance(0.5);
    let got = 0;
    let failure: unknown;
    try {
      const response = await way.client.request(
        wantsBytes ? "bytes" : "values",
        [],
      );
      if (wantsBytes) {
        const { size, error } = await drain(response.readable);
        got = size / 1_000;
        if (error !== undefined) throw error;
      } else for await (const _ of response) got++;
    } catch (error) {
      failure = error;
    }
    if (failure === undefined) assertEquals(got, size, what);
    else assert(fate !== "whole", `${what}: ${failure}`);
    assert(got <= size, what);
    await way.close();
  });
});
