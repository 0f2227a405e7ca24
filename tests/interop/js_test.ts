// A server of ours and a client that minds what qtalk-js minds (js_peer.ts),
// over three pipes and in both of its codecs.

import {
  CallError,
  type Handler,
  handlerFrom,
  type HandlerFunction,
  listen,
  Peer,
  type PeerOptions,
  Router,
} from "@qtalk/qtalk";
import { json } from "@qtalk/qtalk/codec";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { qmux } from "../../mux/session.ts";
import { memoryTransports } from "../../mux/transport/memory.ts";
import { tcp } from "../../mux/transport/deno/conn.ts";
import { webSocketTransport } from "../../mux/transport/websocket/transport.ts";
import type { Transport } from "../../mux/types.ts";
import { rawAccept } from "../support/raw_call.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { concat, utf8, values } from "../support/wire.ts";
import { type Harness, test } from "../support/harness.ts";
import { until, within } from "../support/within.ts";
import { JS_CODECS, type JsCodec } from "./js_codecs.ts";
import { END, type JsChannel, JsPeer } from "./js_peer.ts";
import { patternStream, verifyPattern } from "./pattern.ts";

const KIB = 1024;

/** The server's end made, and what a client has of it. */
type Connect = (t: Harness, options: PeerOptions) => Promise<Transport>;

const PIPES: Record<string, Connect> = {
  async WebSocket(t, options) {
    const listener = t.watch(await listen("ws://127.0.0.1:0", options));
    return webSocketTransport(new WebSocket(listener.addr));
  },
  async TCP(t, options) {
    const listener = t.watch(await listen("tcp://127.0.0.1:0", options));
    const address = listener.addr.slice("tcp:".length);
    return await tcp.connect(address, new AbortController().signal);
  },
  memory(t, options) {
    const [left, transport] = memoryTransports();
    t.watch(new Peer(qmux(left), options));
    return Promise.resolve(transport);
  },
};

/** What the server offers; what `take` is called with goes into `taken`. */
function service(taken: unknown[]): Handler {
  const functions = {
    upper: (text: string) => text.toUpperCase(),
    fail(text: string): never {
      throw new CallError(text);
    },
    text: (size: number) => "x".repeat(size),
    length: (text: string) => text.length,
    take: (value: unknown) => void taken.push(value),
    async *count(to: number) {
      for (let n = 0; n < to; n++) yield n;
    },
    async *texts(count: number, size: number) {
      for (let n = 0; n < count; n++) yield String(n).padStart(size);
    },
  };
  const calls: Record<string, HandlerFunction> = {
    async echo(call, respond) {
      await respond.return(await call.receive());
    },
    async back(call, respond) {
      const value = await call.receive();
      const there: unknown[] = [];
      for (let i = 0; i < 5; i++) {
        there.push(await call.caller.call("double", value));
      }
      await respond.return(there);
    },
    async forever(call) {
      await call.receive();
      await new Promise<void>((resolve) => {
        call.signal.addEventListener("abort", () => resolve());
      });
      taken.push("aborted");
    },
    async talk(call, respond) {
      const channel = await respond.continue(await call.receive());
      for await (const value of call) await respond.send([value]);
      await respond.send("bye");
      // Says EOF, which close() alone does not.
      await channel.writable.close();
    },
    async bytes(call, respond) {
      await call.receive();
      const { readable, writable } = await respond.continue();
      await readable.pipeTo(writable);
    },
  };
  const router = new Router();
  router.handle("/", handlerFrom(functions));
  for (const [name, handler] of Object.entries(calls)) {
    router.handle(name, handler);
  }
  return router;
}

/** What a test is given. */
interface Lab {
  client: JsPeer;
  codec: JsCodec;
  taken: unknown[];
}

/** Registers a test for each pipe and codec. */
function testPipes(behaviour: string, body: (lab: Lab) => Promise<void>): void {
  for (const [pipe, connect] of Object.entries(PIPES)) {
    for (const codec of JS_CODECS) {
      test(`${behaviour} (${pipe}, ${codec.name})`, async (t) => {
        const taken: unknown[] = [];
        const { promise: failed, reject } = Promise.withResolvers<never>();
        const transport = await connect(t, {
          codecs: [json(), cbor()],
          handler: service(taken),
          onError: reject,
        });
        const client = new JsPeer(transport, codec, {
          double: (value) => 2 * (value as number),
        });
        t.defer(() => client.close());
        const run = body({ client, codec, taken });
        await within(Promise.race([run, client.broken, failed]), behaviour);
        // Nor does anything break that was still on its way.
        const quiet = settled(client);
        await within(Promise.race([quiet, client.broken, failed]), "the end");
        // Otherwise the server would wait a second for the client to end its side.
        await client.close();
      });
    }
  }
}

/** Resolves when all channels are closed both ways, none of them unused. */
async function settled(client: JsPeer): Promise<void> {
  await until(() => client.openChannels === 0);
}

/** All values up to the end. */
async function rest(channel: JsChannel): Promise<unknown[]> {
  const list: unknown[] = [];
  for (;;) {
    const value = await channel.receive();
    if (value === END) return list;
    list.push(value);
  }
}

/** The characters of a text that `size` bytes encode. */
function characters(codec: JsCodec, size: number): number {
  return size - (codec.encode("x".repeat(size)).length - size);
}

const VALUES: readonly unknown[] = [
  ...[null, true, "", "ä€😀", 0, -1, 65_536, 2 ** 31, 1.5, 1e300],
  ...[[], {}, [1, [2, { a: [] }]], { a: { b: [null, "c"] }, d: false }],
  ...[Array.from({ length: 300 }, (_, i) => i), "x".repeat(60_000)],
];

const MAP = new Map<unknown, unknown>([["a", 1], [2, "b"]]);

testPipes(
  "qtalk-js interop: a call is answered in its codec, whatever the value",
  async ({ client }) => {
    for (const value of VALUES) {
      const response = await client.call("/echo", value);
      assertEquals(response.value, value);
      assert(!response.continue);
    }
    assertEquals((await client.call("upper", ["hello"])).value, "HELLO");
  },
);

testPipes(
  "qtalk-js interop: an error is its text, and costs its call only",
  async ({ client }) => {
    const outcome = (selector: string, arg: unknown) =>
      client.call(selector, arg).catch((text) => text);
    assertEquals(await outcome("fail", ["no, not that"]), "no, not that");
    assertEquals(await outcome("no.such", null), "not found: /no/such");
    assertEquals(
      await outcome("upper", []),
      "fn: expected 1 params, got 0",
    );
    assertEquals((await client.call("upper", ["x"])).value, "X");
  },
);

testPipes(
  "qtalk-js interop: a reply of up to 64 KiB is one DATA frame",
  async ({ client, codec }) => {
    const longest = characters(codec, 64 * KIB);
    for (const size of [0, 1, KIB, 32 * KIB, longest - 1, longest]) {
      const { value } = await client.call("text", [size]);
      assertEquals((value as string).length, size);
    }
  },
);

testPipes(
  "qtalk-js interop: a reply of up to 64 KiB is one DATA frame among others",
  async ({ client, codec }) => {
    const longest = characters(codec, 64 * KIB);
    const sizes = Array.from({ length: 40 }, (_, i) => longest - i * 997);
    const replies = await Promise.all(
      sizes.map((size) => client.call("text", [size])),
    );
    assertEquals(replies.map(({ value }) => (value as string).length), sizes);
  },
);

testPipes(
  "qtalk-js interop: an argument of any size is taken",
  async ({ client }) => {
    for (const size of [64 * KIB, 1_000_000]) {
      const { value } = await client.call("length", ["x".repeat(size)]);
      assertEquals(value, size);
    }
  },
);

testPipes(
  "qtalk-js interop: a generator's values come one in a DATA frame, with EOF behind them",
  async ({ client }) => {
    for (const count of [0, 1, 1_000]) {
      const response = await client.call("count", [count]);
      assert(response.continue);
      assertEquals(
        await rest(response.channel),
        Array.from({ length: count }, (_, n) => n),
      );
    }
  },
);

testPipes(
  "qtalk-js interop: values that come faster than they are read are not cut",
  async ({ client }) => {
    // Two of them are more than a channel sends in one turn.
    const { channel } = await client.call("texts", [50, 40 * KIB]);
    assertEquals(
      (await rest(channel)).map(Number),
      Array.from({ length: 50 }, (_, n) => n),
    );
  },
);

testPipes(
  "qtalk-js interop: a continued call is a conversation that either side ends",
  async ({ client }) => {
    const { channel, value, ...response } = await client.call("talk", "first");
    assert(response.continue);
    assertEquals(value, "first");
    for (const word of [1, "two", { three: [3] }]) {
      await channel.send(word);
      assertEquals(await channel.receive(), [word]);
    }
    channel.closeWrite();
    assertEquals(await rest(channel), ["bye"]);
  },
);

testPipes(
  "qtalk-js interop: a continued call is a stream of bytes, which end with EOF",
  async ({ client }) => {
    const { channel } = await client.call("bytes", null);
    const size = 300_000;
    const writing = (async () => {
      for await (const chunk of patternStream(size)) await channel.write(chunk);
      channel.closeWrite();
    })();
    const chunks: Uint8Array[] = [];
    for (;;) {
      const chunk = await channel.read(10_000);
      if (chunk === null) break;
      chunks.push(chunk);
    }
    await verifyPattern(ReadableStream.from([concat(...chunks)]), size);
    await writing;
  },
);

testPipes(
  "qtalk-js interop: a handler calls its caller, on channels that all carry a call",
  async ({ client }) => {
    const { value } = await client.call("back", 21);
    assertEquals(value, [42, 42, 42, 42, 42]);
  },
);

testPipes(
  "qtalk-js interop: 500 calls at once, and again on the same numbers",
  async ({ client }) => {
    for (let round = 0; round < 2; round++) {
      const replies = await Promise.all(
        Array.from({ length: 500 }, (_, i) => client.call("echo", [round, i])),
      );
      assertEquals(
        replies.map(({ value }) => value),
        Array.from({ length: 500 }, (_, i) => [round, i]),
      );
    }
  },
);

testPipes(
  "qtalk-js interop: a stream that its reader leaves ends, and costs its call only",
  async ({ client }) => {
    const { channel } = await client.call("count", [1_000_000]);
    assertEquals(await channel.receive(), 0);
    channel.close();
    assertEquals((await client.call("echo", "after")).value, "after");
  },
);

testPipes(
  "qtalk-js interop: a call that is given up is told to its handler",
  async ({ client, taken }) => {
    const channel = await client.begin("forever", null);
    assertEquals((await client.call("echo", "behind it")).value, "behind it");
    assertEquals(taken, []);
    channel.close();
    await until(() => taken.length > 0);
    assertEquals(taken, ["aborted"]);
  },
);

testPipes(
  "qtalk-js interop: bytes, dates, maps and undefined have the forms of cbor-x",
  async ({ client, codec, taken }) => {
    if (codec.name !== "CBOR") return;
    const forms: [there: unknown, here: unknown][] = [
      [new Uint8Array([1, 2, 3]), new Uint8Array([1, 2, 3])],
      [new Date(1_363_896_240_500), new Date(1_363_896_240_500)],
      [MAP, MAP],
      [{ a: undefined, b: 1 }, { b: 1 }],
      [2 ** 40, 2 ** 40],
    ];
    for (const [there] of forms) await client.call("take", [there]);
    assertEquals(taken, forms.map(([, here]) => here));
    assertEquals((await client.call("echo", undefined)).value, null);
  },
);

// --- That the client would notice ---------------------------------------------

/** A client whose other end is a script. */
async function withScript(
  t: Harness,
  body: (client: JsPeer, raw: RawPeer) => Promise<void>,
): Promise<void> {
  const [left, right] = memoryTransports();
  const raw = new RawPeer(left);
  const client = new JsPeer(right, JS_CODECS[0]!);
  t.defer(() => client.close());
  t.defer(() => raw.close());
  await within(body(client, raw), "a script");
}

test("qtalk-js client: a value that is cut breaks it", async (t) => {
  await withScript(t, async (client, raw) => {
    const outcome = client.call("x", null).catch((error) => error);
    const channel = await rawAccept(raw);
    const answer = values({ Error: null, Continue: false }, "a value");
    await channel.data(answer.subarray(0, answer.length - 1));
    await channel.data(answer.subarray(answer.length - 1));
    await outcome;
    await assertRejects(() => client.broken, Error, "a value came cut");
  });
});

test("qtalk-js client: CLOSE without EOF lets it wait for ever", async (t) => {
  await withScript(t, async (client, raw) => {
    const response = client.call("x", null);
    const channel = await rawAccept(raw);
    await channel.values({ Error: null, Continue: true }, "first");
    const { channel: theirs } = await response;
    await channel.close();
    await assertRejects(() => rest(theirs), Error, "CLOSE came without EOF");
  });
});

test("qtalk-js client: a channel without a call breaks it", async (t) => {
  await withScript(t, async (client, raw) => {
    const [left, right] = memoryTransports();
    const peer = t.watch(new Peer(qmux(left)));
    const other = new JsPeer(right, JS_CODECS[0]!);
    const channel = await peer.session.open();
    await channel.writable.close();
    await assertRejects(() => other.broken, Error, "without a call");
    await other.close();
    // As does a frame for a channel that it does not know.
    await raw.send(concat(Uint8Array.of(105), utf8("\0\0\0\x07")));
    await assertRejects(() => client.broken, Error, "does not know");
  });
});
