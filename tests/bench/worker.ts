// The server of a Deno peer as a worker of the client process, whose name says
// which peer.

import { loadDenoPeer } from "./peer.ts";

const scope = self as unknown as MessagePort & { name: string };
const peer = await loadDenoPeer(scope.name);
scope.postMessage(`listening ${await peer.serve!("worker")}`);
