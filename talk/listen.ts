import {
  type ListenSchemeOptions,
  qmux,
  type Session,
} from "../mux/internal.ts";
import {
  type Closable,
  ConnectionListener,
  type Listener,
  type ListenerOptions,
  resolveSharedLimits,
  type SharedLimits,
} from "./listener.ts";
import type { Carried } from "../codec/internal.ts";
import { Peer, type PeerOptions, resolveLimits } from "./peer.ts";
import { addressError, resolveAddress } from "./address.ts";

/** Options of {@linkcode listenSession}. */
export interface ListenSessionOptions
  extends ListenerOptions, ListenSchemeOptions, SharedLimits {}

/** Options of {@linkcode listen}. */
export interface ListenOptions<C extends Carried = Carried>
  extends PeerOptions<C>, ListenSessionOptions {}

/**
 * Listens on an address. Every connection becomes a peer that answers calls,
 * whether or not the listener is iterated.
 *
 * The addresses are those of {@linkcode dial} except `wss:`; for TLS, pass
 * `serveWebSocket()` to `Deno.serve()`. Port 0, as in `tcp://127.0.0.1:0`,
 * chooses a free port.
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
 * @param address the address to listen on
 * @param options codec, handler, limits, and which connections to accept
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `listen-failed`
 * @throws {RangeError} if an option is out of range
 */
export async function listen<C extends Carried = Carried>(
  address: string,
  options: ListenOptions<C> = {},
): Promise<Listener<Peer<C>>> {
  resolveLimits(options);
  return await start(
    address,
    options,
    (session) => new Peer(session, options),
  );
}

/**
 * Like {@linkcode listen}, but without RPC: every connection becomes a session.
 *
 * @param address the address to listen on
 * @param options limits, and which connections to accept
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `listen-failed`
 * @throws {RangeError} if an option is out of range
 */
export function listenSession(
  address: string,
  options: ListenSessionOptions = {},
): Promise<Listener<Session>> {
  return start(address, options, (session) => session);
}

async function start<T extends Closable>(
  address: string,
  options: ListenSessionOptions,
  make: (session: Session) => T,
): Promise<Listener<T>> {
  const limits = resolveSharedLimits(options);
  const { scheme, rest } = await resolveAddress(address);
  try {
    return new ConnectionListener(
      scheme.listen(rest, options),
      (transport) => make(qmux(transport, limits.session)),
      options,
      limits,
    );
  } catch (error) {
    throw addressError("listen", address, error);
  }
}
