import {
  type Handler,
  memoryPair,
  type PeerOptions,
  type RpcResponse,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { cbor } from "../../codec/cbor/cbor.ts";
import type { Codec } from "../../codec/codec.ts";
import { json } from "../../codec/json.ts";
import { msgpack } from "../../codec/msgpack/msgpack.ts";
import {
  rawAccept,
  rawOpen,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import { concat, framed, fromHex, utf8 } from "../../tests/support/wire.ts";
import { within } from "../../tests/support/within.ts";
import { RemoteError, RpcError } from "../errors.ts";

const CODECS: readonly Codec[] = [
  json({ bigint: true }),
  cbor(),
  msgpack(),
];

/** Answers with the argument; `fail` fails; `count` continues. */
const echo: Handler = async (call, respond) => {
  const value = await call.receive();
  if (call.selector === "/fail") throw new Error("ä failure");
  if (call.selector !== "/count") return await respond.return(value);
  const channel = await respond.continue(value);
  for await (const next of call) await respond.send(next);
  await channel.close();
};

/** A codec with its own name that counts its calls. */
function spied(codec: Codec, log: string[], beginsMap = true): Codec {
  return {
    name: codec.name,
    encode(value) {
      log.push(`${codec.name} encodes ${JSON.stringify(value)}`);
      return codec.encode(value);
    },
    decode(bytes) {
      const value = codec.decode(bytes);
      log.push(`${codec.name} decodes ${JSON.stringify(value)}`);
      return value;
    },
    ...(beginsMap && { beginsMap: (first) => codec.beginsMap!(first) }),
  };
}

for (const codec of CODECS) {
  Deno.test(`PeerOptions.codecs: a call in ${codec.name} is answered in ${codec.name}`, async () => {
    const [client] = memoryPair({ codec }, { codecs: CODECS, handler: echo });
    await using _ = client;
    const value = { n: [1, null, "ä"], big: 2n ** 60n };
    for (let i = 0; i < 3; i++) {
      assertEquals(await client.call("x", value), value);
    }
    const error = await assertRejects(() => client.call("fail"), RemoteError);
    assertEquals(error.text, "ä failure");
    await using response = await client.request("count", 0);
    for (const n of [1, 2, 3]) {
      await response.send(n);
      assertEquals(await response.receive(), n);
    }
  });

  Deno.test(`PeerOptions.codecs: a call in ${codec.name} is called back in ${codec.name}`, async () => {
    const [client, server] = memoryPair(
      { codec, handler: echo },
      { codecs: CODECS },
    );
    await using _ = client;
    server.handle("back", async (call, respond) => {
      const value = await call.receive();
      const answers = [
        await call.caller.call("x", value),
        await call.caller.call("x", value),
      ];
      await respond.return(answers);
    });
    assertEquals(await client.call("back", { a: 1 }), [{ a: 1 }, { a: 1 }]);
  });
}

Deno.test("PeerOptions.codecs: calls of this side use the first codec", async () => {
  for (const codec of CODECS) {
    const others = CODECS.filter((other) => other !== codec);
    const [client] = memoryPair(
      { codecs: [codec, ...others] },
      { codec, handler: echo },
    );
    await using _ = client;
    assertEquals(await client.call("x", [codec.name]), [codec.name]);
  }
});

Deno.test("PeerOptions.codecs: calls in several codecs run at the same time in one session", async () => {
  const { peer, raw } = scriptedPeer({ codecs: CODECS, handler: echo });
  await using _ = peer;
  for (let i = 0; i < 6; i++) {
    const codec = CODECS[i % CODECS.length]!;
    const value = [i, codec.name];
    const channel = await rawOpen(raw, i);
    await channel.data(concat(
      framed(codec.encode({ Selector: "x" })),
      framed(codec.encode(value)),
    ));
    const { payload } = await raw.find("data");
    const response = concat(
      framed(codec.encode({ Error: null, Continue: false, E: null, C: false })),
      framed(codec.encode(value)),
    );
    assertEquals(payload, response, codec.name);
    await channel.close();
  }
});

Deno.test("PeerOptions.codecs: a call is decoded by its own codec only", async () => {
  const log: string[] = [];
  const codecs = CODECS.map((codec) => spied(codec, log));
  const [client] = memoryPair({ codec: cbor() }, { codecs, handler: echo });
  await using _ = client;
  await client.call("x", 7);
  await client.call("x", 8);
  assert(log.every((line) => line.startsWith("CBOR ")), log.join("\n"));
  const read = log.filter((line) => line.startsWith("CBOR decodes"));
  assertEquals(read.slice(1), ["CBOR decodes 7", "CBOR decodes 8"]);
  assert(read[0]!.includes('"Selector":"x"'), "and its header once");
});

Deno.test("PeerOptions.codecs: a codec without beginsMap() gets the calls that no codec before it accepts", async () => {
  const log: string[] = [];
  const codecs = [json(), spied(cbor(), log, false), msgpack()];
  const [a] = memoryPair({ codec: cbor() }, { codecs, handler: echo });
  await using _ = a;
  assertEquals(await a.call("x", 7), 7);
  const [b] = memoryPair({ codec: json() }, { codecs, handler: echo });
  await using __ = b;
  const before = log.length;
  assertEquals(await b.call("x", 8), 8);
  assertEquals(log.length, before);
});

const FOREIGN: [string, PeerOptions, Uint8Array, string][] = [
  [
    "CBOR for JSON",
    {},
    cbor().encode({ S: "x" }),
    "Cannot read call header: it looks like CBOR, but this side accepts only JSON",
  ],
  [
    "cbor-x's for JSON",
    { codec: json() },
    fromHex("b9000161536178"),
    "Cannot read call header: it looks like CBOR, but this side accepts only JSON",
  ],
  [
    "MessagePack for CBOR",
    { codec: cbor() },
    msgpack().encode({ S: "x" }),
    "Cannot read call header: it looks like MessagePack, but this side accepts only CBOR",
  ],
  [
    "a long MessagePack map for JSON and CBOR",
    { codecs: [json(), cbor()] },
    fromHex("de0001a153a178"),
    "Cannot read call header: it looks like MessagePack, but this side accepts only JSON and CBOR",
  ],
  [
    "JSON for CBOR and MessagePack",
    { codecs: [cbor(), msgpack()] },
    utf8('{"S":"x"}\n'),
    "Cannot read call header: it looks like JSON, but this side accepts only CBOR and MessagePack",
  ],
  [
    "an array for all three codecs",
    { codecs: CODECS },
    utf8('["x"]'),
    "Cannot read call header: 0x5b does not begin a map in JSON, CBOR or MessagePack",
  ],
  [
    "an array for JSON",
    {},
    utf8('["x"]'),
    "Cannot read call header: it is not a map",
  ],
  [
    "broken JSON for all three codecs",
    { codecs: CODECS },
    utf8("{S}"),
    "Cannot decode value as JSON: ",
  ],
  [
    "empty for all three codecs",
    { codecs: CODECS },
    new Uint8Array(0),
    "Cannot decode value as JSON: ",
  ],
];

for (const [what, options, header, text] of FOREIGN) {
  Deno.test(`RequestDecoder: a header that is ${what} closes its channel and is reported to onError`, async () => {
    const heard = Promise.withResolvers<unknown>();
    const { peer, raw } = scriptedPeer({
      ...options,
      handler: echo,
      onError: heard.resolve,
    });
    await using _ = peer;
    const channel = await rawOpen(raw);
    await channel.data(framed(header));
    const codec = options.codecs?.[0] ?? options.codec ?? json();
    if (text.includes("it looks like")) {
      const { payload } = await raw.find("data");
      const answer = header[0] === 0x7b ? json() : codec;
      const size = new DataView(payload.slice().buffer).getUint32(0);
      const { Error: said } = answer.decode(payload.subarray(4, 4 + size)) as {
        Error: string;
      };
      assert(said.startsWith(text), said);
    }
    await raw.find("close");
    const error = await within(heard.promise, "onError") as Error;
    assert(error.message.startsWith(text), error.message);
    if (error instanceof RpcError) {
      assertEquals(
        error.code,
        text.includes("it looks like") ? "codec-mismatch" : "malformed-header",
      );
    }
    await channel.close();

    const next = await rawOpen(raw, 1);
    await next.data(concat(
      framed(codec.encode({ Selector: "x" })),
      framed(codec.encode(5)),
    ));
    const { payload } = await raw.find("data");
    assertEquals(
      payload.subarray(-1),
      codec.encode(5),
      "the session continues",
    );
  });
}

Deno.test("PeerOptions.codecs: an empty list is the same as none", async () => {
  const [client] = memoryPair({ codecs: [] }, { codecs: [], handler: echo });
  await using _ = client;
  assertEquals(await client.call("x", 1), 1);
});

Deno.test("RequestDecoder: a call header with only the short key is understood", async () => {
  const { peer, raw } = scriptedPeer({
    handler: (call, respond) => respond.return(call.selector),
  });
  await using _ = peer;
  const channel = await rawOpen(raw);
  await channel.values({ S: "a.b" }, null);
  const [header, value] = await channel.read(2);
  assertEquals(value, "/a/b");
  const { E, C } = header as { E: unknown; C: unknown };
  assertEquals([E, C], [null, false]);
});

/** Makes a call and answers it by a script. */
async function answered(...list: unknown[]): Promise<RpcResponse> {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const response = peer.request("x");
  const channel = await rawAccept(raw);
  await channel.values(...list);
  return await response;
}

Deno.test("Client.call: a response header with only the short keys is understood", async () => {
  const error = await assertRejects(
    () => answered({ E: "no", C: false }, null),
    RemoteError,
  );
  assertEquals(error.text, "no");
  const continued = await answered({ E: null, C: true }, "first");
  assertEquals([continued.continued, continued.value], [true, "first"]);
});
