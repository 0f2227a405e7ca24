// Interop with qtalk's successor, the npm package @progrium/duplex: both ways,
// in both of its codecs, over a pipe in this process and over TCP. Rejections
// that it leaves unhandled fail these tests, as they would end its process.

import { RemoteError, RpcError } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { assertUsage } from "../support/usage.ts";
import { until } from "../support/within.ts";
import { duplex, testPair } from "./duplex_pair.ts";

const VALUES: readonly unknown[] = [
  null,
  true,
  "",
  "ä€😀",
  0,
  -1,
  65_536,
  2 ** 32,
  Number.MAX_SAFE_INTEGER,
  1.5,
  1e300,
  [],
  {},
  [1, [2, { a: [] }]],
  { a: { b: [null, "c"] }, d: false },
  Array.from({ length: 300 }, (_, i) => i),
  "x".repeat(60_000),
];

const MAP = new Map<unknown, unknown>([["a", 1], [2, "b"]]);
const SET = new Set<unknown>([1, "a"]);

testPair("duplex interop: it answers our calls", async ({ ours }) => {
  for (const value of VALUES) {
    assertEquals(await ours.call("echo", value), value);
  }
});

testPair(
  "duplex interop: our handlers answer its calls",
  async ({ theirs, codec }) => {
    for (const value of VALUES) {
      const { value: back } = await theirs.call("echo", value);
      // cbor-x makes a bigint of any integer of 64 bits, and sends floats itself.
      const wide = codec.name === "CBOR" && Number.isInteger(value) &&
        value as number >= 2 ** 32 && value as number < 2 ** 53;
      assertEquals(back, wide ? BigInt(value as number) : value);
    }
  },
);

testPair(
  "duplex interop: errors of its handlers are a RemoteError with their text",
  async ({ ours }) => {
    const failed = await assertRejects(() => ours.call("fail"), RemoteError);
    assertEquals(failed.text, "no, not that");
    const unknown = await assertRejects(() => ours.call("nope"), RemoteError);
    assertEquals(unknown.text, "not found: nope");
  },
);

testPair(
  "duplex interop: errors of our handlers are rejections with their text there",
  async ({ theirs }) => {
    const outcome = (selector: string) =>
      theirs.call(selector, null).catch((text) => text);
    assertEquals(await outcome("fail"), "no, not that");
    assertEquals(await outcome("nope"), "not found: /nope");
  },
);

testPair(
  "duplex interop: a handler of either calls its caller back",
  async ({ ours, theirs }) => {
    assertEquals(await ours.call("back", { a: [1] }), { a: [1] });
    assertEquals((await theirs.call("back", { a: [1] })).value, { a: [1] });
  },
);

testPair(
  "duplex interop: its functions are found by their names, which it makes lower case",
  async ({ ours, theirs }) => {
    const names = duplex.handlerFrom({
      Add: (a: number, b: number) => a + b,
      inner: duplex.handlerFrom({ Deep: () => "deep" }),
    });
    theirs.handle("Names", names);
    for (const selector of ["Names.Add", "/names/add", "nAmEs/aDd"]) {
      assertEquals(await ours.call(selector, [1, 2]), 3);
    }
    for (const selector of ["Names.inner.Deep", "names/inner/deep"]) {
      assertEquals(await ours.call(selector, []), "deep");
    }
  },
);

testPair(
  "duplex interop: it turns only the first dot of a selector into a slash",
  async ({ ours, theirs }) => {
    theirs.handle("a.b.c", duplex.handlerFrom(() => "found"));
    assertEquals(await ours.call("a.b.c", []), "found");
    const error = await assertRejects(
      () => ours.call("a/b/c", []),
      RemoteError,
    );
    assertEquals(error.text, "not found: a/b/c");
  },
);

testPair(
  "duplex interop: values are streamed to it and back",
  async ({ ours }) => {
    await using response = await ours.request("stream", "first");
    assert(response.continued);
    assertEquals(response.value, "first");
    for (const value of [1, "two", { three: [3] }]) {
      await response.send(value);
      assertEquals(await response.receive(), value);
    }
    await response.channel!.writable.close();
    assertEquals(await response.receive(), undefined);
  },
);

testPair(
  "duplex interop: values are streamed to us and back, up to their end",
  async ({ theirs }) => {
    const response = await theirs.call("stream", "first");
    assert(response.continue);
    assertEquals(response.value, "first");
    for (const value of [1, "two", { three: [3] }]) {
      await response.send(value);
      assertEquals(await response.receive(), value);
    }
    await response.channel.closeWrite();
    assertEquals(await response.receive(), null);
  },
);

testPair(
  "duplex interop: arguments are streamed to it",
  async ({ ours, theirs }) => {
    theirs.handle(
      "sum",
      duplex.HandlerFunc(async (respond, call) => {
        let sum = 0;
        for (;;) {
          const value = await call.receive();
          if (value === null) break;
          sum += value as number;
        }
        await respond.return(sum);
      }),
    );
    const numbers = async function* () {
      for (let i = 1; i <= 100; i++) yield i;
    };
    assertEquals(await ours.call("sum", numbers()), 5_050);
  },
);

const PAYLOAD = new Uint8Array(1_000_000).map((_, i) => i * 7 + (i >> 8));

testPair(
  "duplex interop: bytes go to it and back over a half-closed channel",
  async ({ ours }) => {
    const { channel } = await ours.request("bytes");
    const { readable, writable } = channel!;
    const [, back] = await Promise.all([
      new Blob([PAYLOAD]).stream().pipeTo(writable),
      new Response(readable).bytes(),
    ]);
    assert(equal(back, PAYLOAD));
    await channel!.close();
  },
);

testPair(
  "duplex interop: bytes come to us and go back over a half-closed channel",
  async ({ theirs }) => {
    const { channel } = await theirs.call("bytes", null);
    const back = new Uint8Array(PAYLOAD.length);
    const receive = async () => {
      for (let filled = 0;;) {
        const length = await channel.read(back.subarray(filled));
        if (length === null || length === 0) return filled;
        filled += length;
      }
    };
    const [received] = await Promise.all([
      receive(),
      channel.write(PAYLOAD).then(() => channel.closeWrite()),
    ]);
    assertEquals(received, PAYLOAD.length);
    assert(equal(back, PAYLOAD));
  },
);

testPair(
  "duplex interop: 500 calls at once are answered each way",
  async ({ ours, theirs }) => {
    const numbers = Array.from({ length: 500 }, (_, i) => i);
    const [there, here] = await Promise.all([
      Promise.all(numbers.map((i) => ours.call("echo", [i]))),
      Promise.all(
        numbers.map(async (i) => (await theirs.call("echo", [i])).value),
      ),
    ]);
    assertEquals(there, numbers.map((i) => [i]));
    assertEquals(here, numbers.map((i) => [i]));
  },
);

testPair(
  "duplex interop: our calls leave no channel without a call, on which it breaks",
  async ({ ours }) => {
    for (let i = 0; i < 5; i++) assertEquals(await ours.call("echo", i), i);
    await until(() => ours.session.usage.channels === 0);
    // A channel opened ahead of need would be confirmed before this is answered.
    assertEquals(await ours.call("echo", "last"), "last");
    await until(() => ours.session.usage.channels === 0);
    assertUsage(ours.session, { channels: 0, slots: 0 });
  },
);

testPair(
  "duplex interop: a call that is given up leaves the session in order",
  async ({ ours, theirs }) => {
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    theirs.handle(
      "slow",
      duplex.HandlerFunc(async (respond, call) => {
        await call.receive();
        started.resolve();
        await release.promise;
        // It finds its channel closed, which it calls "EOF".
        await respond.return("late").catch((error) =>
          assertEquals(error, "EOF")
        );
      }),
    );
    const abort = new AbortController();
    const call = ours.call("slow", null, { signal: abort.signal });
    await started.promise;
    abort.abort(new RpcError("cancelled", "Given up"));
    await assertRejects(() => call, RpcError, "Given up");
    assertEquals(await ours.call("echo", 1), 1);
    release.resolve();
    assertEquals(await ours.call("echo", 2), 2);
  },
);

testPair(
  "duplex interop: values with a form of their own in cbor-x keep their meaning",
  async ({ ours, theirs, codec }) => {
    if (codec.name !== "CBOR") return;
    const values: [there: unknown, here: unknown][] = [
      [new Uint8Array([1, 2, 3]), new Uint8Array([1, 2, 3])],
      [new Date(1_363_896_240_500), new Date(1_363_896_240_500)],
      [MAP, MAP],
      [SET, SET],
      [{ a: undefined, b: 1 }, { b: 1 }],
      [undefined, null],
      [2n ** 60n, 2n ** 60n],
      [-(2n ** 60n), -(2n ** 60n)],
      [5n, 5],
      [new Float64Array([1.5, -2]), new Float64Array([1.5, -2])],
    ];
    const seen: unknown[] = [];
    ours.handle("take", async (call, respond) => {
      seen.push(await call.receive());
      await respond.return();
    });
    for (const [there] of values) await theirs.call("take", there);
    assertEquals(seen, values.map(([, here]) => here));
    theirs.handle(
      "give",
      duplex.HandlerFunc(async (respond, call) => {
        await respond.return(values[await call.receive() as number]![0]);
      }),
    );
    for (const [i, [, here]] of values.entries()) {
      assertEquals(await ours.call("give", i), here);
    }

    const taken: unknown[] = [];
    theirs.handle(
      "keep",
      duplex.HandlerFunc(async (respond, call) => {
        taken.push(await call.receive());
        await respond.return(null);
      }),
    );
    const sent = [new Uint8Array([1, 2]), 2n ** 60n, 1.5, NaN, {
      a: undefined,
    }];
    for (const value of sent) await ours.call("keep", value);
    const [bytes, ...others] = taken;
    assertEquals(Uint8Array.from(bytes as Uint8Array), new Uint8Array([1, 2]));
    assertEquals(others, [2n ** 60n, 1.5, NaN, {}]);
  },
);

/** Not assertEquals: its message would be a megabyte long. */
function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
