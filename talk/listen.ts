import {
  qmux,
  resolveOptions,
  type Session,
  type SessionOptions,
} from "../mux/internal.ts";
import { Listener, type ListenerOptions } from "./listener.ts";
import { Peer, type PeerOptions } from "./peer.ts";
import { addressError, resolveAddress } from "./address.ts";

/** Choices for {@linkcode listenSession}. */
export interface ListenSessionOptions extends ListenerOptions {
  /** Limits of each session. */
  session?: SessionOptions;
}

/** Choices for {@linkcode listen}. */
export interface ListenOptions extends PeerOptions, ListenSessionOptions {}

/**
 * Listens on an address. Every connection becomes a peer that answers calls,
 * whether or not anybody iterates the listener.
 *
 * The addresses are those of `dial()`; `tcp://127.0.0.1:0` takes a free port.
 *
 * @example
 * ```ts
 * import { dial, handlerFrom, listen } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * await using listener = await listen("tcp://127.0.0.1:0", {
 *   handler: handlerFrom({ add: (a: number, b: number) => a + b }),
 * });
 * await using peer = await dial(listener.addr);
 * assertEquals(await peer.call("add", [1, 2]), 3);
 * ```
 *
 * @param address where to listen
 * @param options how to talk, and whom to
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `listen-failed`
 * @throws {RangeError} if a session option is out of range
 */
export function listen(
  address: string,
  options: ListenOptions = {},
): Promise<Listener<Peer>> {
  return start(
    address,
    options,
    (session) => new Peer(session, options),
  );
}

/**
 * As {@linkcode listen}, without RPC: every connection becomes a bare session.
 *
 * @param address where to listen
 * @param options limits, and whom to talk to
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `listen-failed`
 * @throws {RangeError} if a session option is out of range
 */
export function listenSession(
  address: string,
  options: ListenSessionOptions = {},
): Promise<Listener<Session>> {
  return start(address, options, (session) => session);
}

async function start<T extends Peer | Session>(
  address: string,
  options: ListenSessionOptions,
  make: (session: Session) => T,
): Promise<Listener<T>> {
  // Now, and not when the first connection comes.
  resolveOptions(options.session);
  const { scheme, rest } = await resolveAddress(address);
  try {
    return new Listener(
      scheme.listen(rest),
      (transport) => make(qmux(transport, options.session)),
      options,
    );
  } catch (error) {
    throw addressError("listen", address, error);
  }
}
