import type { Codec } from "../../codec/internal.ts";
import type { Transport, TransportListener } from "../../mux/internal.ts";
import type { Observer } from "./events.ts";

/** The option of functions that make sessions. */
export interface ObserverOption {
  /**
   * Is called with everything that happens in a session: its frames, channels and
   * calls, with their values. See `@qtalk/qtalk/observe`. Default: none, and then
   * nothing is paid for it.
   */
  observer?: Observer | undefined;
}

/** Where the codecs of calls are found. */
export interface CodecSource {
  readonly codec?: Codec | undefined;
  readonly codecs?: readonly Codec[] | undefined;
}

/** Has a connection observed. Most programs do not load what that takes. */
export async function observed(
  transport: Transport,
  observer: Observer,
  address: string,
  options: CodecSource,
): Promise<Transport> {
  const { observeTransport } = await import("./observed_transport.ts");
  const codecs = codecsOf(options);
  return observeTransport(transport, observer, { address, codecs });
}

/** Has the connections of a listener observed, if there is an observer. */
export function observedSource(
  source: TransportListener,
  options: ObserverOption & CodecSource,
): TransportListener {
  const { observer } = options;
  if (observer === undefined) return source;
  const loaded = import("./observed_transport.ts");
  const shared = loaded.then(({ tracerFor }) =>
    tracerFor(observer, codecsOf(options))
  );
  return {
    addr: source.addr,
    async accept() {
      const accepted = await source.accept();
      if (accepted === null) return null;
      const { ObservedTransport } = await loaded;
      const trace = (await shared).session(accepted.remoteAddr);
      const transport = new ObservedTransport(accepted.transport, trace);
      return { ...accepted, transport };
    },
    close: () => source.close(),
  };
}

function codecsOf(
  { codec, codecs = [] }: CodecSource,
): readonly Codec[] | undefined {
  if (codecs.length > 0) return codecs;
  return codec === undefined ? undefined : [codec];
}
