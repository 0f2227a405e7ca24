/**
 * Runs middleware, and keeps what a handler answers until the middleware has seen it.
 *
 * @module
 */
import type { Channel, WaitOptions } from "../../mux/internal.ts";
import { RpcResponse } from "../client/response.ts";
import { RpcError } from "../errors.ts";
import { unanswered } from "../server/refusals.ts";
import type {
  MiddlewareToRun,
  ServerResponder,
} from "../server/server_call.ts";
import type { Call, Handler, Responder } from "../types.ts";
import { invoke, isServerCall } from "./invoke.ts";
import { capture, respondWith } from "./respond_with.ts";

/** Answers a call by a handler with middleware around it. */
export async function runMiddleware(
  list: readonly MiddlewareToRun[],
  handler: Handler,
  call: Call,
  respond: Responder,
): Promise<void> {
  const inner = new InnerResponder(call, respond as ServerResponder);
  const from = (index: number): Promise<unknown> => {
    const middleware = list[index];
    return middleware === undefined
      ? inner.run(handler)
      : step(middleware, call, () => from(index + 1));
  };
  try {
    const result = await from(0);
    if (!inner.passedOn) await respondWith(result, call, respond);
  } catch (error) {
    inner.failed(error);
    // As without middleware, it is an answer and not a bug.
    if (error === inner.returned) return await respond.return(error);
    throw error;
  }
  await inner.answered();
}

async function step(
  middleware: MiddlewareToRun,
  call: Call,
  goOn: () => Promise<unknown>,
): Promise<unknown> {
  let rest: Promise<unknown> | undefined;
  const result = await middleware(call, () => {
    if (rest !== undefined) {
      const why = "Cannot call next() again: the handler has got the call";
      return Promise.reject(new RpcError("invalid-state", why));
    }
    rest = goOn();
    // The middleware may have no interest in it.
    rest.catch(() => {});
    return rest;
  });
  return result === undefined ? await rest : result;
}

/** What a handler with middleware around it answers to. */
class InnerResponder implements ServerResponder {
  /** The error that the handler has answered with. */
  returned: Error | undefined;
  /** Whether the handler has answered the caller by itself. */
  passedOn = false;
  readonly #call: Call;
  readonly #outer: ServerResponder;
  readonly #result = Promise.withResolvers<unknown>();
  /** Settles when the caller has been answered. */
  readonly #sent = Promise.withResolvers<void>();
  #hasResult = false;
  #finished: Promise<void> | undefined;

  constructor(call: Call, outer: ServerResponder) {
    this.#call = call;
    this.#outer = outer;
  }

  /** Lets the handler answer; settles as soon as it has. */
  run(handler: Handler): Promise<unknown> {
    this.#finished = this.#invoke(handler);
    this.#finished.catch(this.#result.reject);
    return this.#result.promise;
  }

  async #invoke(handler: Handler): Promise<void> {
    try {
      const value: unknown = await invoke(handler, this.#call, this);
      if (this.#hasResult) return;
      if (!this.passedOn && value !== undefined) throw unanswered(this.#call);
      this.#result.resolve(this.passedOn ? undefined : null);
    } catch (error) {
      if (this.#hasResult || this.passedOn) throw error;
      // It is up to the middleware what becomes of it.
      this.#hasResult = true;
      this.#result.reject(error);
    }
  }

  /** The caller has been answered: waits for the rest of the handler. */
  async answered(): Promise<void> {
    this.#sent.resolve();
    await this.#finished;
  }

  /** The call fails: what else the handler throws is reported. */
  failed(failure: unknown): void {
    this.#sent.resolve();
    const call = this.#call;
    this.#finished?.catch((error) => {
      if (error !== failure && isServerCall(call)) call.report(error, false);
    });
  }

  return(...values: unknown[]): Promise<void> {
    return this.returnAll(values);
  }

  returnAll(values: readonly unknown[]): Promise<void> {
    const [value = null] = values;
    if (values.length > 1) return this[capture](new RpcResponse(values));
    if (!(value instanceof Error)) return this[capture](value);
    this.#begin();
    this.returned = value;
    this.#result.reject(value);
    return this.#sent.promise;
  }

  /** Takes a result, which may be a stream, for the middleware. */
  [capture](result: unknown): Promise<void> {
    this.#begin();
    this.#result.resolve(result);
    return this.#sent.promise;
  }

  #begin(): void {
    if (this.#hasResult || this.passedOn) {
      throw new RpcError(
        "invalid-state",
        `Cannot respond to call "${this.#call.selector}": it is answered already`,
      );
    }
    this.#hasResult = true;
  }

  async continue(...values: unknown[]): Promise<Channel> {
    const channel = await this.#outer.continue(...values);
    this.passedOn = true;
    return channel;
  }

  send(value: unknown, options?: WaitOptions): Promise<void> {
    return this.#outer.send(value, options);
  }

  sendNow(value: unknown): Promise<void> | undefined {
    return this.#outer.sendNow(value);
  }

  async continueWithStream(): Promise<void> {
    await this.#outer.continueWithStream();
    this.passedOn = true;
  }

  async continueWithBytes(): Promise<Channel> {
    const channel = await this.#outer.continueWithBytes();
    this.passedOn = true;
    return channel;
  }

  end(): void {
    this.#outer.end();
  }

  fail(reason: unknown): boolean {
    return this.#outer.fail(reason);
  }

  handOver(): void {
    this.#outer.handOver();
    this.passedOn = true;
  }
}
