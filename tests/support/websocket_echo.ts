// Dials wss:, sends 5,000 bytes and waits until they have come back.

import { webSocketScheme } from "../../mux/transport/websocket/scheme.ts";

const SIZE = 5_000;
const { signal } = new AbortController();
const transport = await webSocketScheme("wss").connect(Deno.args[0]!, signal);
await transport.write(new Uint8Array(SIZE));
let bytes = 0;
while (bytes < SIZE) bytes += (await transport.read())!.length;
console.log(`${bytes} bytes came back`);
await transport.close();
