import type { TransportListener } from "../../mux/internal.ts";
import {
  checkObserver,
  type CodecSource,
  observed,
  type ObserverOption,
} from "../observe/option.ts";

/** Has the connections of a listener observed, if there is an observer. */
export function observedSource(
  source: TransportListener,
  options: ObserverOption & CodecSource,
): TransportListener {
  if (options.observer === undefined) return source;
  checkObserver(options);
  return {
    addr: source.addr,
    async accept() {
      const accepted = await source.accept();
      if (accepted === null) return null;
      const { transport, remoteAddr } = accepted;
      return {
        ...accepted,
        transport: observed(transport, remoteAddr, options),
      };
    },
    close: () => source.close(),
  };
}
