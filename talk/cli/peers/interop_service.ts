/**
 * The service of the reference's interop check, and the callbacks that it makes
 * of its caller (qtalk-go's package `interop`).
 *
 * @module
 */
import { type Channel, splice } from "../../../mux/internal.ts";
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

/** What `interop` serves: each call calls its caller back. */
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
      const [callback, behind] = await open("Stream", call);
      const channel = await respond.continue(callback.value);
      try {
        // As values and not as bytes: that is what is tried here.
        await Promise.all([
          sendTo(callback, behind, call),
          answerBy(respond, channel, callback),
        ]);
      } finally {
        await Promise.all([channel.close(), callback.close()]);
      }
    },
    async Bytes(call, respond) {
      const [callback, behind] = await open("Bytes", call);
      const channel = await respond.continue(callback.value);
      await splice(channel, behind);
    },
  });
}

/** Calls back, and wants the channel of what is answered. */
async function open(
  name: string,
  call: Call,
): Promise<[RpcResponse, Channel]> {
  const response = await call.caller.request(name, await call.receive());
  const { channel } = response;
  if (channel !== undefined) return [response, channel];
  throw new TypeError(`Cannot relay ${name}: the callback did not continue`);
}

async function sendTo(
  callback: RpcResponse,
  { writable }: Channel,
  call: Call,
): Promise<void> {
  for await (const value of call) await callback.send(value);
  await writable.close();
}

async function answerBy(
  respond: Responder,
  { writable }: Channel,
  callback: RpcResponse,
): Promise<void> {
  for (;;) {
    const value = await callback.receive();
    if (value === undefined) break;
    await respond.send(value);
  }
  await writable.close();
}

/** What `check` answers: each callback gives back what it gets. */
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
