// The server process of a Deno peer: `server.ts PEER`.

import { loadDenoPeer } from "./peer.ts";

const peer = await loadDenoPeer(Deno.args[0]!);
console.log(`listening ${await peer.serve()}`);
