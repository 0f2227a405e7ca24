/**
 * The recorded service: what calls its caller back, by selectors or by
 * functions that it was given, and the functions that the caller gives.
 *
 * @module
 */
import {
  type Callback,
  CallError,
  type Handler,
  type HandlerFunction,
  type Peer,
} from "@qtalk/qtalk";
import { exactly } from "../interop/function_service.ts";
import { handlersOf } from "./service_calls.ts";
import type { Stage } from "./stage.ts";

/** A function of the caller. */
type Fn<Result = unknown> = Callback<(value: unknown) => Result>;

/** The handlers that call by a selector. */
export function callbackService(): Record<string, HandlerFunction> {
  return {
    async callback(call, respond) {
      const [selector, value] = await call.receive() as [string, unknown];
      await respond.return(await call.caller.call(selector, value));
    },
    async "callback-sum"(call, respond) {
      const selector = await call.receive() as string;
      await using numbers = await call.caller.request(selector, 3);
      let sum = 0;
      for await (const n of numbers) sum += n as number;
      await respond.return(sum);
    },
  };
}

/** The service of the reference's interop check, at the server. */
export const interopServer: Record<string, HandlerFunction> = {
  async Unary(call, respond) {
    const value = await call.receive();
    await respond.return(await call.caller.call("Unary", value));
  },
  async Error(call) {
    throw new CallError(await call.receive() as string);
  },
  Stream: relayed("Stream"),
  Bytes: relayed("Bytes"),
};

/** Calls the same of the caller, and relays what both ends say then. */
function relayed(selector: string): HandlerFunction {
  return async (call, respond) => {
    const value = await call.receive();
    const response = await call.caller.request(selector, value);
    const channel = await respond.continue(response.value);
    // Either may close before it has taken all.
    await Promise.allSettled([
      channel.readable.pipeTo(response.writable),
      response.readable.pipeTo(channel.writable),
    ]);
    await Promise.all([channel.close(), response.close()]);
  };
}

/** The same, at the client. */
export const interopClient: Record<string, HandlerFunction> = {
  async Unary(call, respond) {
    await respond.return(await call.receive());
  },
  async Stream(call, respond) {
    const channel = await respond.continue(await call.receive());
    for await (const value of call) await respond.send(value);
    await channel.close();
  },
  async Bytes(call, respond) {
    const channel = await respond.continue(await call.receive());
    await channel.readable.pipeTo(channel.writable);
    await channel.close();
  },
};

/** The functions that take functions, or return one. */
export function functionService(stage: Stage): Record<string, Handler> {
  let kept: Fn | undefined;
  return handlersOf({
    Ignore: exactly(1, (_call, _fn: Fn) => "ignored"),
    Apply: exactly(2, (_call, fn: Fn, value: unknown) => fn(value)),
    ApplyTwice: exactly(
      2,
      async (_call, fn: Fn, value: unknown) => await fn(await fn(value)),
    ),
    Each: exactly(
      1,
      async (_call, { items, fn }: { items: unknown[]; fn: Fn }) => {
        const replies: unknown[] = [];
        for (const item of items) replies.push(await fn(item));
        return replies;
      },
    ),
    Try: exactly(
      1,
      (_call, { n, ok, fail }: { n: number; ok: Fn; fail: Fn }) =>
        n < 0 ? fail("negative") : ok(2 * n),
    ),
    Keep: exactly(1, (_call, fn: Fn): void => {
      kept = fn.retain();
    }),
    Kept: exactly(1, (_call, value: unknown) => kept!(value)),
    Remind: exactly(2, (_call, fn: Fn, value: unknown): void => {
      fn.retain();
      stage.clock.after(10, () => void stage.take(fn(value)));
    }),
    Adder: exactly(1, (_call, n: number) => (m: number) => n + m),
    With: exactly(
      1,
      (_call, fn: Fn) => (fn as unknown as (f: unknown) => unknown)(twice),
    ),
  });
}

/** The function of either side that returns two times its parameter. */
export function twice(n: number): number {
  return 2 * n;
}

/** A list of names that is sent to the client when it changes. */
export function stateService(stage: Stage): Record<string, Handler> {
  const tell = async (peer: Pick<Peer, "call">, names: string[]) => {
    await stage.take(peer.call("state", names));
  };
  return handlersOf({
    Join: exactly(1, async (call, name: string): Promise<void> => {
      await tell(call.caller, [name]);
      stage.clock.after(10, () => void tell(stage.peer, [name, "bo"]));
    }),
    Leave: exactly(1, (_call, _name: string): void => {}),
  });
}
