// A producer of streams that is going to be killed, or whose streams throw.
//
//   deno run -A tests/hostile/kills/producer.ts DIRECTORY ADDRESS
//
// DIRECTORY is the checkout whose library it uses. Prints the address that it
// listens on, unless that is `stdio:`.

import { loadLibrary } from "../library.ts";

const [directory, address] = Deno.args;
const { dial, handlerFrom, listen } = await loadLibrary(directory!);

/** Bytes in a chunk, and in a value. */
const CHUNK = 10_000, VALUE = 100;
/** Items between two turns of the event loop. */
const TURN = 50;

function failure(): Error {
  return new Error("the source failed");
}

async function* produce<T>(
  count: number,
  failAt: number | null,
  item: T,
): AsyncGenerator<T> {
  for (let i = 0; i < count; i++) {
    if (i === failAt) throw failure();
    // As with a source that takes its time.
    if (i % TURN === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    yield item;
  }
  if (failAt !== null && failAt >= count) throw failure();
}

const handler = handlerFrom({
  pid: () => Deno.pid,
  values: (count: number, failAt: number | null) =>
    produce(count, failAt, "x".repeat(VALUE)),
  bytes: (count: number, failAt: number | null) => ({
    readable: ReadableStream.from(
      produce(count, failAt, new Uint8Array(CHUNK)),
    ),
    writable: new WritableStream<Uint8Array>(),
  }),
});

if (address === "stdio:") {
  const peer = await dial("stdio:", { handler });
  await peer.closed;
} else {
  const listener = await listen(address!, { handler });
  console.log(listener.addr);
}
