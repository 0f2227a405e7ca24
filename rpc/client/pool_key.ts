/**
 * The key of a caller's channel pool. Apart from the pool, so that `release.ts` can ask
 * for it: the pool imports the state of sessions, which imports callbacks.
 */
export const channelPool: unique symbol = Symbol("qtalk.channelPool");
