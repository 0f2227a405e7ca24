// The server process of a Deno peer: `server.ts PEER TRANSPORT`.

import type { Transport } from "./measures.ts";
import { loadDenoPeer } from "./peer.ts";

const [file, transport] = Deno.args as [string, Transport];
const peer = await loadDenoPeer(file);
const address = await peer.serve!(transport);
// Over stdio the client has started it and is talking already.
if (transport !== "stdio") console.log(`listening ${address}`);
