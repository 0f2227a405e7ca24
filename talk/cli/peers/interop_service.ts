/**
 * The service that `check` calls, and the callbacks that the service calls
 * (qtalk-go's package `interop`).
 *
 * @module
 */
import type { Channel } from "../../../mux/internal.ts";
import { splice } from "../../../mux/internal_server.ts";
import {
  type Call,
  type HandlerFunction,
  type Responder,
  Router,
  type RpcResponse,
} from "../../../rpc/internal.ts";

function router(handlers: Record<string, HandlerFunction>): Router {
  const router = new Router();
  for (const [name, handler] of Object.entries(handlers)) {
    router.handle(name, handler);
  }
  return router;
}

/** The service of `interop`. Each call but Error calls its caller back. */
export function interopService(): Router {
  return router({
    async Error(call, respond) {
      await respond.return(new Error(String(await call.receive())));
    },
    async Unary(call, respond) {
      const value = await call.receive();
      await respond.return(await call.caller.call("Unary", value));
    },
    async Stream(call, respond) {
      const [callback, far] = await openCallback("Stream", call);
      const channel = await respond.continue(callback.value);
      try {
        // Passed as values, not as bytes: streams of values are what is
        // checked.
        await Promise.all([
          passArguments(call, callback, far),
          passReplies(callback, respond, channel),
        ]);
      } finally {
        await Promise.all([channel.close(), callback.close()]);
      }
    },
    async Bytes(call, respond) {
      const [callback, far] = await openCallback("Bytes", call);
      const channel = await respond.continue(callback.value);
      await splice(channel, far);
    },
  });
}

/** Calls the caller back; resolves to the continued response and its channel. */
async function openCallback(
  name: string,
  call: Call,
): Promise<[RpcResponse, Channel]> {
  const response = await call.caller.request(name, await call.receive());
  const { channel } = response;
  if (channel !== undefined) return [response, channel];
  throw new TypeError(`Cannot continue ${name}: the callback did not continue`);
}

async function passArguments(
  call: Call,
  callback: RpcResponse,
  { writable }: Channel,
): Promise<void> {
  for await (const value of call) await callback.send(value);
  await writable.close();
}

async function passReplies(
  callback: RpcResponse,
  respond: Responder,
  { writable }: Channel,
): Promise<void> {
  for (;;) {
    const value = await callback.receive();
    if (value === undefined) break;
    await respond.send(value);
  }
  await writable.close();
}

/** The callbacks of `check`: each returns what it gets. */
export function interopCallbacks(): Router {
  return router({
    async Unary(call, respond) {
      await respond.return(await call.receive());
    },
    async Stream(call, respond) {
      const channel = await respond.continue(await call.receive());
      for await (const value of call) await respond.send(value);
      await channel.writable.close();
      await channel.close();
    },
    async Bytes(call, respond) {
      const channel = await respond.continue(await call.receive());
      await channel.readable.pipeTo(channel.writable);
      await channel.close();
    },
  });
}
