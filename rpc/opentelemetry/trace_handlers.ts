import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
} from "@opentelemetry/api";
import { RpcResponse } from "../client/response.ts";
import type { Middleware } from "../handler/middleware.ts";
import { checkResult, isValueStream } from "../wire/value_source.ts";
import { carrierOf, contextOf } from "./carrier.ts";
import { Instruments, type MeasuredCall } from "./instruments.ts";

/**
 * Makes middleware that makes a span of each call of a peer and adds its time in
 * seconds to the histogram `rpc.server.call.duration`. Without a registered
 * provider, it records nothing. The span is a child of the caller's, if the caller
 * uses `traceCalls()`, and is the active one while the handler runs, also in the
 * body of a generator. The span of a stream ends when the stream ends.
 *
 * The code of a `CallError` that a handler throws is an attribute of the span;
 * other errors also set its status.
 */
export function traceHandlers(): Middleware {
  const instruments = new Instruments("server");
  return async (call, next) => {
    // A handler begins in no context of its own.
    const parent = call.trace === undefined
      ? context.active()
      : propagation.extract(ROOT_CONTEXT, carrierOf(call.trace));
    const measured = instruments.begin(
      call.selector,
      addressOf(call.peer.remoteAddr),
      parent,
    );
    const active = contextOf(parent, measured.span);
    try {
      const result = await context.with(active, next);
      if (isPlainIterable(result)) {
        return new TracedIterable(result, active, measured);
      }
      const isOpen = result === undefined || isValueStream(result) ||
        isBytes(result);
      if (isOpen) call.channel.closed.then(measured.succeed, measured.fail);
      else measured.succeed();
      return undefined;
    } catch (error) {
      measured.fail(error);
      throw error;
    }
  };
}

/** Whether a result is a generator or the like, which runs while it is read. */
function isPlainIterable(result: unknown): result is AsyncIterable<unknown> {
  return isValueStream(result) && !(result instanceof RpcResponse) &&
    !(result instanceof ReadableStream);
}

/** Whether a result is a pair of streams of bytes. */
function isBytes(result: unknown): boolean {
  return typeof result === "object" && result !== null &&
    "readable" in result && "writable" in result;
}

/** A stream of values whose producer runs in the context of a span. */
class TracedIterable implements AsyncIterable<unknown> {
  readonly #stream: AsyncIterable<unknown>;
  readonly #context: Context;
  readonly #measured: MeasuredCall;

  constructor(
    stream: AsyncIterable<unknown>,
    context: Context,
    measured: MeasuredCall,
  ) {
    this.#stream = stream;
    this.#context = context;
    this.#measured = measured;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    const measured = this.#measured;
    const within = <T>(act: () => T) => context.with(this.#context, act);
    const iterator = within(() => this.#stream[Symbol.asyncIterator]());
    return {
      next() {
        const result = within(() => iterator.next());
        // The promise itself is returned: another one would resolve later.
        Promise.resolve(result).then(checkResult).then(({ done }) => {
          if (done) measured.succeed();
        }, measured.fail);
        return result;
      },
      async return(value) {
        try {
          return await within(() =>
            iterator.return?.(value) ?? { done: true, value }
          );
        } finally {
          measured.succeed();
        }
      },
    };
  }
}

/** The address of a peer, as attributes. */
function addressOf(remoteAddr: string): Attributes {
  const match = /^\w+:\/\/(?:\[([^\]]+)\]|([^:/]+)):(\d+)/.exec(remoteAddr);
  if (match === null) return {};
  return {
    "network.peer.address": match[1] ?? match[2]!,
    "network.peer.port": Number(match[3]),
  };
}
