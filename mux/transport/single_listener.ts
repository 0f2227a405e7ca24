import type { Transport } from "../types.ts";
import type { TransportListener } from "./types.ts";

/** A listener for a transport that is there already, and the only one. */
export function singleListener(
  transport: Transport,
  addr: string,
): TransportListener {
  let left: Transport | undefined = transport;
  return {
    addr,
    accept() {
      const accepted = left;
      left = undefined;
      return Promise.resolve(
        accepted ? { transport: accepted, remoteAddr: addr } : null,
      );
    },
    close() {
      left = undefined;
    },
  };
}
