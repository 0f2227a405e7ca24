// A call that becomes a stream of bytes, to any tool for web streams: gzip at
// the other end of a connection. Neither end ever holds more than a window.
//
//   deno run --allow-net=127.0.0.1 examples/byte_stream.ts
//
// Prints:
//
//   1400000 bytes went out, and came back zipped

import { dial, listen } from "@qtalk/qtalk";

// One end: what comes in goes out again, zipped.
await using listener = await listen("tcp://127.0.0.1:0", {
  handler: async (call, respond) => {
    await call.receive(); // The argument; behind it come the bytes.
    const channel = await respond.continue();
    await channel.readable
      .pipeThrough(new CompressionStream("gzip"))
      .pipeTo(channel.writable);
  },
});

// The other end.
await using peer = await dial(listener.addr);
await using response = await peer.request("gzip");
const { readable, writable } = response.channel!;

const text = "Hello, qtalk! ".repeat(100_000);
const unzipped = new Response(
  readable.pipeThrough(new DecompressionStream("gzip")),
).text();

// The end of the blob ends this direction only. gzip sends its last block when
// it has seen that end, so the other direction must go on.
await new Blob([text]).stream().pipeTo(writable);

const same = await unzipped === text;
console.log(
  `${text.length} bytes went out, and came back ${same ? "zipped" : "broken"}`,
);
