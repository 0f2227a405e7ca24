/** The key of a caller's channel pool. */
export const channelPool: unique symbol = Symbol("qtalk.channelPool");
