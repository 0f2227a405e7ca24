/**
 * Several peers in place of one: calls are divided among them, and go to others when
 * one is lost. `dialPool()` dials servers, and `workerPool()` is for workers that have
 * dialed this side. It has its own subpath, so programs that do not use it do not load
 * it.
 *
 * @example
 * ```ts
 * import { handlerFrom, listen } from "@qtalk/qtalk";
 * import { dialPool } from "@qtalk/qtalk/pool";
 * import { assertEquals } from "@std/assert";
 *
 * const handler = handlerFrom({ ping: () => "pong" });
 * await using first = await listen("tcp://127.0.0.1:0", { handler });
 * await using second = await listen("tcp://127.0.0.1:0", { handler });
 *
 * await using pool = await dialPool([first.addr, second.addr]);
 * assertEquals(await pool.call("ping"), "pong");
 * ```
 *
 * @module
 */
export { dialPool } from "./dial_pool.ts";
export {
  type Balance,
  type BalanceOptions,
  DEFAULT_BALANCE_OPTIONS,
  DEFAULT_POOL_OPTIONS,
  type ListAddresses,
  type PeerPool,
  type PoolAddresses,
  type PoolCall,
  type PoolMember,
  type PoolOptions,
  type WorkerPool,
} from "./types.ts";
export { workerPool } from "./worker_pool.ts";
