import { checkCallLimits } from "../client/call_limits.ts";
import type { Caller, CallOptions } from "../types.ts";
import type { Remote } from "./types.ts";
import { UNSENT_NAMES, UNSENT_PREFIXES } from "../wire/selector.ts";
import type { Carried } from "../../codec/internal.ts";
import { atCaller, RpcError } from "../errors.ts";
import type { RpcResponse } from "../client/response.ts";
import { ValueIterator } from "../wire/value_iterator.ts";
import { isValueStream, SoleArgument } from "../wire/value_source.ts";

const UNSENT: ReadonlySet<string> = new Set(UNSENT_NAMES);

/** Names that each remote object caches; most services have fewer. */
const MAX_MEMBERS = 256;

/**
 * The peer's service as an object of methods.
 *
 * @param caller makes the calls
 * @param options the signal and timeout of each call
 * @throws {unknown} what {@linkcode checkCallLimits} throws
 */
export function remoteOf<S extends object, C extends Carried = Carried>(
  caller: Caller,
  options?: CallOptions,
): Remote<S, C> {
  if (options !== undefined) checkCallLimits(options);
  return node(caller, options, "") as unknown as Remote<S, C>;
}

/** One name in a service: a method, or an object with more names. */
function node(
  caller: Caller,
  options: CallOptions | undefined,
  selector: string,
): object {
  const members = new Map<string, object>();
  // Which names exist is known to the types, but not at run time.
  return new Proxy(() => {}, {
    apply(_target, _this, args: unknown[]) {
      const response = caller.request(selector, callArguments(args), options);
      return new RemoteCall(response, selector, options?.signal);
    },
    get(_target, name) {
      if (typeof name === "symbol") return local(name, selector);
      let member = members.get(name);
      if (member === undefined) {
        if (isUnsent(name)) return local(name, selector);
        const path = selector === "" ? name : `${selector}/${name}`;
        member = node(caller, options, path);
        if (members.size < MAX_MEMBERS) members.set(name, member);
      }
      return member;
    },
    has: () => false,
    set: () => false,
    defineProperty: () => false,
    deleteProperty: () => false,
  });
}

function isUnsent(name: string): boolean {
  return UNSENT.has(name) ||
    UNSENT_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** What a name that is never sent means on a remote object. */
function local(name: string | symbol, selector: string): unknown {
  switch (name) {
    case "toString":
    case "toLocaleString":
    case Symbol.toPrimitive:
      return () => `remote "${selector}"`;
    case "name":
      return selector.slice(selector.lastIndexOf("/") + 1);
    case "length":
      return 0;
    // They work on the proxy as on any function, and call it.
    case "apply":
    case "bind":
    case "call":
      return Function.prototype[name];
    case "hasOwnProperty":
    case "isPrototypeOf":
    case "propertyIsEnumerable":
    case "valueOf":
      return Object.prototype[name];
  }
  return undefined;
}

/**
 * What the call of a function sends as its argument value: the array of
 * arguments, or a stream that is the only argument. An `undefined` at the end is
 * an argument that is missing.
 */
export function callArguments(args: unknown[]): unknown {
  if (args.length > 0 && args[args.length - 1] === undefined) {
    return callArguments(args.slice(0, -1));
  }
  const [first] = args;
  return args.length === 1 && isValueStream(first)
    ? new SoleArgument(first)
    : args;
}

/**
 * Closes the response of a call that became unreachable without having been
 * awaited or iterated. This is a backstop: to close the channel at once, use the
 * call.
 */
const abandoned = new FinalizationRegistry<RpcResponse>((response) => {
  void response.close();
});

/** What the call resolves to as a promise. */
function valueOf(response: RpcResponse): unknown {
  return response.continued ? response : response.value;
}

/**
 * A running call that can be used in two ways. Types do not exist at run time,
 * so what the call returns is only known when its response arrives. The way it
 * is used first decides:
 *
 * - As a promise: the reply value, or a continued response as a whole.
 * - As an iterable: the values of a continued response. Leaving the loop closes
 *   the call and ends its producer.
 *
 * A call that is not used at all leaves nothing open. If it fails, that is an
 * unhandled rejection, as it is of a promise, or goes to where its maker wants it.
 */
export class RemoteCall implements Promise<unknown>, AsyncIterable<unknown> {
  readonly #response: Promise<RpcResponse>;
  readonly #selector: string;
  readonly #signal: AbortSignal | undefined;
  #usedAs: "promise" | "iterable" | undefined;
  #value: Promise<unknown> | undefined;

  /**
   * Made by remote methods and callbacks.
   *
   * @param signal the signal of the call
   * @param onUntaken gets the failure of a call that is not used. Default: it is
   * an unhandled rejection
   */
  constructor(
    response: Promise<RpcResponse>,
    selector: string,
    signal?: AbortSignal,
    onUntaken?: (error: unknown) => void,
  ) {
    this.#response = response;
    this.#selector = selector;
    this.#signal = signal;
    // Keeps the call reachable until the response arrives, and no longer.
    response.then((arrived) => {
      if (this.#usedAs !== undefined || !arrived.continued) return;
      abandoned.register(this, arrived, this);
    }, (error) => {
      if (this.#usedAs === undefined) this.#untaken(error, onUntaken);
    });
  }

  #untaken(
    error: unknown,
    report: ((error: unknown) => void) | undefined,
  ): void {
    // As a promise, the call is this one from now on.
    this.#value = Promise.reject(error);
    if (report === undefined) return;
    this.#value.catch(() => {
      if (this.#usedAs === undefined) report(error);
    });
  }

  /** For error messages, and so that codecs do not take it for a plain object. */
  get [Symbol.toStringTag](): string {
    return "RemoteCall";
  }

  /**
   * A call is not the value that it resolves to.
   *
   * @throws {TypeError} always
   */
  [Symbol.toPrimitive](): never {
    throw new TypeError(
      `Cannot use call "${this.#selector}" as a value: it is a promise, so await it`,
    );
  }

  then<T = unknown, U = never>(
    onResolved?: ((value: unknown) => T | PromiseLike<T>) | null,
    onRejected?: ((reason: unknown) => U | PromiseLike<U>) | null,
  ): Promise<T | U> {
    return this.#promise().then(onResolved, onRejected);
  }

  catch<U = never>(
    onRejected?: ((reason: unknown) => U | PromiseLike<U>) | null,
  ): Promise<unknown | U> {
    return this.#promise().catch(onRejected);
  }

  finally(onSettled?: (() => void) | null): Promise<unknown> {
    return this.#promise().finally(onSettled);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<unknown, undefined> {
    if (this.#usedAs !== undefined) throw this.#alreadyUsed();
    this.#use("iterable");
    this.#value?.catch(() => {});
    const response = this.#response;
    return new ValueIterator(
      async () => {
        const arrived = await this.#arrived();
        if (arrived.continued) return await arrived.receive();
        throw new RpcError(
          "invalid-state",
          `Cannot iterate call "${this.#selector}": its response is complete`,
        );
      },
      () => {
        // Leaving the loop does not wait for a response that has not arrived.
        response.then((arrived) => arrived.close(), () => {});
      },
    );
  }

  async #arrived(): Promise<RpcResponse> {
    try {
      return await this.#response;
    } catch (error) {
      throw atCaller(error, this.#signal);
    }
  }

  #promise(): Promise<unknown> {
    if (this.#usedAs === "iterable") return Promise.reject(this.#alreadyUsed());
    this.#use("promise");
    return this.#value ??= this.#response.then(valueOf, (error) => {
      throw atCaller(error, this.#signal);
    });
  }

  #use(as: "promise" | "iterable"): void {
    if (this.#usedAs === undefined) abandoned.unregister(this);
    this.#usedAs = as;
  }

  #alreadyUsed(): RpcError {
    const how = this.#usedAs === "promise" ? "a promise" : "an iterable";
    return new RpcError(
      "invalid-state",
      `Cannot use call "${this.#selector}" twice: it is used as ${how}`,
    );
  }
}
