// A program of Node or Bun: imports every subpath, and calls over sockets with
// every codec. Prints "done" at its end.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import process from "node:process";
import { dial, handlerFrom, json, listen } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { intercept } from "@qtalk/qtalk/middleware";
import { traceCalls } from "@qtalk/qtalk/opentelemetry";
import { dialPool } from "@qtalk/qtalk/pool";
import { withReflection } from "@qtalk/qtalk/reflection";
import { closeOnSignals } from "@qtalk/qtalk/signals";

for (const name of process.argv.slice(2)) {
  assert.ok(Object.keys(await import(name)).length > 0, name);
}

// The same modules for programs that are not ES modules.
assert.equal(createRequire(import.meta.url)("@qtalk/qtalk").dial, dial);

const service = {
  add: (a, b) => a + b,
  async *count(to) {
    for (let n = 1; n <= to; n++) yield n;
  },
  twice: async (fn) => [await fn(1), await fn(2)],
};
const codecs = [json(), cbor(), msgpack()];
for (const address of ["tcp://127.0.0.1:0", "ws://127.0.0.1:0/"]) {
  const listener = await listen(address, {
    codecs,
    handler: withReflection(handlerFrom(service)),
  });
  const closing = closeOnSignals(listener);
  for (const codec of codecs) {
    const peer = await dial(listener.addr, { codec });
    const api = intercept(peer, traceCalls()).remote();
    assert.equal(await api.add(1, 2), 3);
    const counted = [];
    for await (const n of api.count(3)) counted.push(n);
    assert.deepEqual(counted, [1, 2, 3]);
    assert.deepEqual(await api.twice((n) => n * 10), [10, 20]);
    assert.equal((await peer.call("/_qtalk/describe")).methods.length, 3);
    await peer.close();
  }
  const pool = await dialPool([listener.addr]);
  assert.equal(await pool.call("add", [3, 4]), 7);
  await pool.close();
  closing[Symbol.dispose]();
  await listener.close();
}
console.log("done");
