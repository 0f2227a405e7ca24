/**
 * The option `observer`. What an observer takes is not loaded unless a program makes
 * one.
 *
 * @module
 */
import { checkMethods } from "../../check_option.ts";
import type { Codec } from "../../codec/internal.ts";
import type { Transport, TransportListener } from "../../mux/internal.ts";

/** Options of {@linkcode Observer.observe}. */
export interface ObserveOptions {
  /** The address of the far end, for events. Default: empty. */
  address?: string | undefined;
  /** The codecs in which calls are read. Default: `json({ bigint: true })`. */
  codecs?: readonly Codec[] | undefined;
}

/** Gets the events of sessions. Made by `observe()` of `@qtalk/qtalk/observe`. */
export interface Observer {
  /**
   * Makes a transport, for `qmux()`, that passes everything on to another one and
   * reports what passes. `dial()`, `listen()` and others do this themselves.
   *
   * @param transport the transport to observe; the new one owns it
   * @param options codecs and address
   */
  observe(transport: Transport, options?: ObserveOptions): Transport;
}

/** The option of functions that make sessions. */
export interface ObserverOption {
  /**
   * Gets the events of the sessions: frames, channels and calls with their values.
   * `observe()` of `@qtalk/qtalk/observe` makes one. Default: none, which costs
   * nothing.
   */
  observer?: Observer | undefined;
}

/** Where the codecs of calls are found. */
export interface CodecSource {
  readonly codec?: Codec | undefined;
  readonly codecs?: readonly Codec[] | undefined;
}

/**
 * Checks the option.
 *
 * @throws {TypeError} if it is not an observer
 */
export function checkObserver({ observer }: ObserverOption): void {
  // A connection that cannot be observed would be lost without an error.
  if (observer === undefined) return;
  const expected = 'an observer; observe() of "@qtalk/qtalk/observe" makes one';
  checkMethods('option "observer"', observer, expected, "observe");
}

/** Has a connection observed, if there is an observer. */
export function observed(
  transport: Transport,
  address: string,
  { observer, codec, codecs }: ObserverOption & CodecSource,
): Transport {
  if (observer === undefined) return transport;
  const list = codecs !== undefined && codecs.length > 0
    ? codecs
    : codec && [codec];
  return observer.observe(transport, { address, codecs: list });
}

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
