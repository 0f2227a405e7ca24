import { dialSession } from "../../talk/dial/dial.ts";
import { listenSession } from "../../talk/listener/listen.ts";
import type { MakePair } from "./session_pair.ts";

/** Pairs of which one end dials and the other listens at `address`. */
export function listeningPair(address: string): MakePair {
  return async ({ a, b }) => {
    const listener = await listenSession(address, { session: b ?? {} });
    const accepting = listener[Symbol.asyncIterator]().next();
    const near = await dialSession(listener.addr, { session: a ?? {} });
    const { value: far } = await accepting;
    return { a: near, b: far!, close: () => listener.close() };
  };
}
