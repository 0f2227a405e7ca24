// A page, to be bundled: tries each codec at the server that it came from, and
// tells it what came of that.

import { dial, handlerFrom, json } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";

const address = `ws://${location.host}/rpc`;
const handler = handlerFrom({ double: (n) => 2 * n });

async function tryCodec(codec) {
  const peer = await dial(address, { codec, handler });
  const api = peer.remote();
  const counted = [];
  for await (const n of api.count(3)) counted.push(n);
  const results = [await api.add(1, 2), counted, await api.callBack(21)];
  await peer.close();
  return results;
}

let outcome;
try {
  outcome = await Promise.all([json(), cbor(), msgpack()].map(tryCodec));
} catch (error) {
  outcome = String(error);
}
// It reconnects, which needs a chunk of its own.
const peer = await dial(address, { reconnect: {} });
await peer.call("done", [outcome]);
await peer.close();
