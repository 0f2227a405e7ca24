import { checkNotAborted } from "../../check_option.ts";
import type { Carried } from "../../codec/internal.ts";
import { limitedSignal } from "../../time_limit.ts";
import { checkConnectOptions, dial } from "../dial/dial.ts";
import { wait } from "../reconnect/backoff.ts";
import { errorPrinter, reporter } from "../errors.ts";
import { checkPeerOptions } from "../peer.ts";
import { Pool } from "./pool.ts";
import {
  DEFAULT_POOL_OPTIONS,
  type PeerPool,
  type PoolAddresses,
  type PoolOptions,
} from "./types.ts";

/**
 * Connects to several servers with the same service, and makes a pool of the
 * connections, which is used in place of one peer. Each member connects again with
 * exponential backoff whenever its connection is lost. It resolves when the first
 * connection is made; the others follow.
 *
 * @example Servers that come and go
 * ```ts
 * import { handlerFrom, listen } from "@qtalk/qtalk";
 * import { dialPool } from "@qtalk/qtalk/pool";
 * import { assertEquals } from "@std/assert";
 *
 * const service = { double: (n: number) => 2 * n };
 * const start = () =>
 *   listen("tcp://127.0.0.1:0", { handler: handlerFrom(service) });
 * await using first = await start();
 * await using second = await start();
 *
 * // A program asks its store of addresses here.
 * const addresses = () => Promise.resolve([first.addr, second.addr]);
 * await using pool = await dialPool(addresses);
 *
 * const api = pool.remote<typeof service>();
 * assertEquals(await api.double(1), 2);
 * await first.close();
 * assertEquals(await api.double(2), 4);
 * ```
 *
 * @param addresses the addresses of the servers
 * @param options how calls are divided among them, limits, and the options of peers
 * and of connecting
 * @throws {TalkError} `timeout` if there is no connection within `readyTimeout`;
 * `dial-failed` if every address was given up; `bad-address` if there is none
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `addresses`, `balance`, `handler`, `codec`, `codecs`, `observer`,
 * `session.memoryPool` or `signal` is of the wrong type
 * @throws {unknown} `signal.reason`
 */
export async function dialPool<C extends Carried = Carried>(
  addresses: PoolAddresses,
  options: PoolOptions<C> = {},
): Promise<PeerPool<C>> {
  checkPeerOptions(options);
  checkConnectOptions(options);
  const { signal } = options;
  checkNotAborted(signal);
  // One for all connections: it prints at a limited rate.
  const { onError = errorPrinter() } = options;
  const shared = { ...options, onError };
  const pool = new Pool<C>(addresses, shared, {
    dial: (address, handler, signal) =>
      dial<C>(address, { ...shared, handler, signal, reconnect: undefined }),
    wait,
    now: () => performance.now(),
    random: Math.random,
    report: reporter(onError),
  });
  return await ready(pool, options);
}

/** Waits for the first connection of a pool; closes it if there is none. */
export async function ready<C extends Carried>(
  pool: Pool<C>,
  { signal, readyTimeout }: PoolOptions<C>,
): Promise<PeerPool<C>> {
  const limited = limitedSignal({
    signal,
    timeout: readyTimeout ?? DEFAULT_POOL_OPTIONS.readyTimeout,
    onTimeout: () => pool.notReady(),
  });
  try {
    await pool.connected({ signal: limited.signal });
    return pool;
  } catch (error) {
    await pool.close();
    throw error;
  } finally {
    limited[Symbol.dispose]();
  }
}
