/**
 * What a function returns, made a response.
 *
 * @module
 */
import { MuxError, splice } from "../../mux/internal.ts";
import { type BytePair, isSocket, streamsOf } from "./socket_streams.ts";
import { ChannelResponder } from "../server/responder.ts";
import { RpcResponse } from "../client/response.ts";
import {
  isValueStream,
  openSource,
  type ValueSource,
} from "../wire/value_source.ts";
import type { Call, Responder } from "../types.ts";

/**
 * Responds with what a function returned: a value, or what it promises, or a
 * stream of values or of bytes.
 */
export function respondWith(
  result: unknown,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  if (typeof result !== "object" || result === null) {
    return void respond.return(result);
  }
  if (typeof (result as PromiseLike<unknown>).then === "function") {
    // Not every thenable returns a promise from its then().
    return Promise.resolve(result).then((value) =>
      respondBy(value, call, respond)
    );
  }
  return respondBy(result, call, respond);
}

function respondBy(
  value: unknown,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  if (typeof value === "object" && value !== null) {
    if (isValueStream(value)) {
      return value instanceof RpcResponse
        ? passOn(value, respond)
        : sendValues(openSource(value), call, respond);
    }
    if (isBytePair(value)) return sendBytes(value, call, respond);
  }
  void respond.return(value);
}

function isBytePair(value: object): value is BytePair {
  const { readable, writable } = value as Partial<BytePair>;
  return readable !== undefined && readable instanceof ReadableStream &&
    writable instanceof WritableStream;
}

/** The response of somebody else is the response here, whatever it becomes. */
async function passOn(
  response: RpcResponse,
  respond: Responder,
): Promise<void> {
  if (response.channel === undefined) {
    return await respond.return(...response.values);
  }
  let channel;
  try {
    channel = await respond.continue(response.value);
  } catch (error) {
    await response.close();
    throw error;
  }
  await splice(channel, response.channel);
}

/** Becomes a stream of bytes, both ways; ends when both directions have. */
async function sendBytes(
  pair: BytePair,
  call: Call,
  respond: Responder,
): Promise<void> {
  if (pair.readable.locked || pair.writable.locked) {
    throw new TypeError("Cannot respond with streams: somebody else holds one");
  }
  const { signal } = call;
  const channel = await respond.continue();
  const connection = isSocket(pair) ? streamsOf(pair) : undefined;
  const { readable, writable } = connection ?? pair;
  const mistakes: unknown[] = [];
  // A caller that goes away breaks the pipes, and that is no mistake. Judged
  // before the channel is touched: the caller's answer to that aborts, too.
  // (Where writing has failed, the signal follows only when reading has.)
  const judge = (error: unknown) => {
    const lost = error instanceof MuxError && error.code === "connection-lost";
    if (!signal.aborted && !lost) mistakes.push(error);
  };
  await Promise.allSettled([
    readable.pipeTo(channel.writable, { preventAbort: true }).catch((error) => {
      judge(error);
      return channel.writable.abort(error);
    }),
    channel.readable.pipeTo(writable, { preventCancel: true }).catch(
      (error) => {
        judge(error);
        return channel.readable.cancel(error);
      },
    ),
  ]);
  connection?.close();
  await channel.close();
  if (mistakes.length > 0) throw mistakes[0];
}

/**
 * Sends values as they come, each a frame, then EOF and CLOSE. The source is
 * asked for the next value when the one before is on its way, which waits while
 * the caller does not read; it is stopped when the caller closes the call.
 */
async function sendValues(
  source: ValueSource,
  call: Call,
  respond: Responder,
): Promise<void> {
  const first = source.next();
  const failed = await soonFailed(first);
  if (failed !== undefined) throw failed.error;

  const { signal } = call;
  const left = Promise.withResolvers<void>();
  const onAbort = () => {
    source.stop(signal.reason);
    left.resolve();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    // A producer that waits for ever must not keep the call.
    await Promise.race([left.promise, relay(first, source, respond)]);
  } catch (error) {
    source.stop(error);
    // With the caller gone, there is nobody to tell, and no mistake.
    if (!signal.aborted) endByError(error, respond);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * What a generator throws before it first waits or yields is known after one
 * turn of the microtask queue. So it can be an error response, which every peer
 * reads as one.
 */
async function soonFailed(
  first: Promise<unknown>,
): Promise<{ error: unknown } | undefined> {
  const failures: unknown[] = [];
  first.catch((error) => failures.push(error));
  await undefined;
  return failures.length === 0 ? undefined : { error: failures[0] };
}

async function relay(
  first: Promise<IteratorResult<unknown>>,
  source: ValueSource,
  respond: Responder,
): Promise<void> {
  const channel = await respond.continue();
  for (let next = first;; next = source.next()) {
    const { done, value } = await next;
    if (done) break;
    if (respond instanceof ChannelResponder) await respond.sendNow(value);
    else await respond.send(value);
  }
  if (respond instanceof ChannelResponder) return respond.end();
  await channel.writable.close();
  await channel.close();
}

/** Tells the caller, if it can be told, or else whoever hears `onError`. */
function endByError(error: unknown, respond: Responder): void {
  if (!(respond instanceof ChannelResponder) || !respond.fail(error)) {
    throw error;
  }
}
