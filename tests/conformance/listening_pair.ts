import { dialSession } from "../../talk/dial/dial.ts";
import { listenSession } from "../../talk/listener/listen.ts";
import type { TlsDialOptions, TlsListenOptions } from "../../mux/internal.ts";
import type { MakePair } from "./session_pair.ts";

/** The options `tls` of both ends. */
export interface PairTls {
  dial: TlsDialOptions;
  listen: TlsListenOptions;
}

/** Pairs of which one end dials and the other listens at `address`. */
export function listeningPair(address: string, tls?: PairTls): MakePair {
  return async ({ a, b }) => {
    const listener = await listenSession(address, {
      session: b ?? {},
      tls: tls?.listen,
    });
    const accepting = listener[Symbol.asyncIterator]().next();
    const near = await dialSession(listener.addr, {
      session: a ?? {},
      tls: tls?.dial,
    });
    const { value: far } = await accepting;
    return { a: near, b: far!, close: () => listener.close() };
  };
}
