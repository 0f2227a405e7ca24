// A call that becomes a byte stream, which works with everything that takes web
// streams: here, gzip at the other end of a connection. Neither end ever holds
// more than a window of bytes in memory.
//
//   deno run --allow-net=127.0.0.1 examples/byte_stream.ts
//
// Prints:
//
//   1400000 bytes went out, and came back zipped

import { dial, listen } from "@qtalk/qtalk";

// The server returns the bytes that it gets, zipped.
await using listener = await listen("tcp://127.0.0.1:0", {
  handler: async (call, respond) => {
    await call.receive(); // The argument; the bytes follow it.
    const channel = await respond.continue();
    await channel.readable
      .pipeThrough(new CompressionStream("gzip"))
      .pipeTo(channel.writable);
  },
});

// The client.
await using peer = await dial(listener.addr);
await using response = await peer.request("gzip");
const { readable, writable } = response.channel!;

const text = "Hello, qtalk! ".repeat(100_000);
const unzipped = new Response(
  readable.pipeThrough(new DecompressionStream("gzip")),
).text();

// The end of the blob ends only this direction. gzip sends its last block after
// that, so the other direction has to stay open.
await new Blob([text]).stream().pipeTo(writable);

const same = await unzipped === text;
console.log(
  `${text.length} bytes went out, and came back ${same ? "zipped" : "broken"}`,
);
