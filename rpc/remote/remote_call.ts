import { RpcError } from "../errors.ts";
import type { RpcResponse } from "../client/response.ts";
import { ValueIterator } from "../wire/value_source.ts";

/**
 * Closes what nobody can reach any more: the response to a call whose two faces
 * were never used. A backstop: who wants the channel gone at once, uses it.
 */
const abandoned = new FinalizationRegistry<RpcResponse>((response) => {
  void response.close();
});

/**
 * A call under way, with two faces: a promise of its value, and an iterable of
 * the values that it streams. Types do not exist at run time, so what the call
 * turns out to be is known when its response comes; the face that is used first
 * decides what becomes of it.
 *
 * - As a promise: the reply value, or a continued response as a whole.
 * - As an iterable: the values of a continued response. Leaving the loop closes
 *   the call, and ends its producer.
 *
 * A face that is not used leaves nothing behind, no unhandled rejection either.
 */
export class RemoteCall implements Promise<unknown>, AsyncIterable<unknown> {
  readonly #response: Promise<RpcResponse>;
  readonly #selector: string;
  #face: "promise" | "iterable" | undefined;
  #value: Promise<unknown> | undefined;

  /** Made by remote methods and callbacks. */
  constructor(response: Promise<RpcResponse>, selector: string) {
    this.#response = response;
    this.#selector = selector;
    // Holds the call until then, and no longer.
    response.then((arrived) => {
      if (this.#face !== undefined || !arrived.continued) return;
      abandoned.register(this, arrived, this);
    }, () => {});
  }

  /** For messages, and so that codecs do not take it for a plain object. */
  get [Symbol.toStringTag](): string {
    return "RemoteCall";
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
    if (this.#face !== undefined) throw this.#used();
    this.#use("iterable");
    const response = this.#response;
    return new ValueIterator(
      async () => {
        const arrived = await response;
        if (arrived.continued) return await arrived.receive();
        throw new RpcError(
          "invalid-state",
          `Cannot iterate call "${this.#selector}": its response is complete`,
        );
      },
      () => {
        // Who leaves before the response came does not wait for it.
        response.then((arrived) => arrived.close(), () => {});
      },
    );
  }

  #promise(): Promise<unknown> {
    if (this.#face === "iterable") return Promise.reject(this.#used());
    this.#use("promise");
    return this.#value ??= this.#response.then((response) =>
      response.continued ? response : response.value
    );
  }

  #use(face: "promise" | "iterable"): void {
    if (this.#face === undefined) abandoned.unregister(this);
    this.#face = face;
  }

  #used(): RpcError {
    return new RpcError(
      "invalid-state",
      `Cannot use call "${this.#selector}" twice: it is used as ${
        this.#face === "promise" ? "a promise" : "an iterable"
      }`,
    );
  }
}
