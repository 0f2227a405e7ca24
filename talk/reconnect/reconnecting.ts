/**
 * The option `reconnect` of `dial()`.
 *
 * @module
 */
import { checkNotAborted } from "../../check_option.ts";
import "../mod.ts"; // Keeps bundles in few chunks.
import type { Carried } from "../../codec/internal.ts";
import {
  checkConnectOptions,
  type DialAddress,
  dialOnce,
  type Provided,
  type ReconnectingDialOptions,
} from "../dial/dial.ts";
import { errorPrinter, reporter } from "../errors.ts";
import { checkPeerOptions } from "../peer.ts";
import { loadedServer } from "../peer_keys.ts";
import { wait } from "./backoff.ts";
import { Reconnector } from "./reconnector.ts";
import type { ReconnectingPeer } from "./types.ts";

/** Makes a peer that reconnects, and waits for its first connection. */
export async function reconnecting<C extends Carried>(
  address: Provided<DialAddress>,
  { reconnect, handler, signal, ...rest }: ReconnectingDialOptions<C>,
): Promise<ReconnectingPeer<C>> {
  checkPeerOptions({ ...rest, handler });
  checkConnectOptions(rest);
  // One for all connections: it prints at a limited rate.
  const { onError = errorPrinter() } = rest;
  const options = {
    ...rest,
    onError,
    // Each connection has a handler, whether or not the program has given one.
    [loadedServer]: handler === undefined ? null : undefined,
  };
  checkNotAborted(signal);
  const peer = new Reconnector(reconnect, handler, {
    connect: (handler, signal, onFallback) =>
      dialOnce(address, { ...options, handler, signal, onFallback }),
    wait,
    now: () => performance.now(),
    random: Math.random,
    report: reporter(onError),
  });
  try {
    await peer.connected({ signal });
    return peer;
  } catch (error) {
    await peer.close();
    throw error;
  }
}
