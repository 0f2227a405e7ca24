import { RpcError } from "../errors.ts";
import type { SessionState } from "../session_state.ts";
import type { RpcResponse } from "../client/response.ts";
import { callArguments, RemoteCall } from "../remote/remote_call.ts";
import type { CallbackLife } from "../remote/types.ts";
import type { Caller } from "../types.ts";
import { RELEASE_SELECTOR } from "../wire/selector.ts";

/** A function of the peer, as programs see it. */
export type CallbackFunction =
  & ((...args: unknown[]) => RemoteCall)
  & CallbackLife;

/**
 * How long a function of the peer can be called.
 *
 * - `lent`: until the call that it came with is answered.
 * - `retained`: the same, but the answer will keep it.
 * - `late`: its call has been answered by a continued response. It can be
 *   called until the peer closes that call, and can no longer be retained.
 * - `owned`: until it is released.
 * - `returning`: not any more. The peer is informed once no call of it is
 *   running.
 * - `released`: not any more.
 */
export type RemoteFunctionState =
  | "lent"
  | "retained"
  | "late"
  | "owned"
  | "returning"
  | "released";

/**
 * What can happen to a function of the peer.
 *
 * - `retain`, `release`: the program asked for it.
 * - `keep`: the answer to its call names it.
 * - `return`, `continue`: the answer does not name it, and ends the call or
 *   continues it.
 * - `idle`: no call of it is running.
 */
export type RemoteFunctionEvent =
  | "retain"
  | "release"
  | "keep"
  | "return"
  | "continue"
  | "idle";

const NEXT: Record<
  RemoteFunctionState,
  Record<RemoteFunctionEvent, RemoteFunctionState>
> = {
  lent: {
    retain: "retained",
    release: "released",
    // Named only because a call of it is running.
    keep: "returning",
    return: "released",
    continue: "late",
    idle: "lent",
  },
  retained: {
    retain: "retained",
    release: "released",
    keep: "owned",
    return: "owned",
    continue: "owned",
    idle: "retained",
  },
  late: {
    retain: "late",
    release: "released",
    keep: "late",
    return: "late",
    continue: "late",
    idle: "late",
  },
  owned: {
    retain: "owned",
    release: "returning",
    keep: "owned",
    return: "owned",
    continue: "owned",
    idle: "owned",
  },
  returning: {
    retain: "returning",
    release: "returning",
    keep: "returning",
    return: "returning",
    continue: "returning",
    idle: "released",
  },
  released: {
    retain: "released",
    release: "released",
    // Released while a call of it was running.
    keep: "returning",
    return: "released",
    continue: "released",
    idle: "released",
  },
};

/** The state of a function of the peer after `event`. */
export function nextRemoteFunction(
  state: RemoteFunctionState,
  event: RemoteFunctionEvent,
): RemoteFunctionState {
  return NEXT[state][event];
}

/** One function of the peer. */
export class RemoteFunction {
  /** The selector that it is called by. */
  readonly id: string;
  readonly #caller: Caller;
  readonly #session: SessionState;
  /** The selector of the call that it came with. */
  readonly #origin: string;
  #state: RemoteFunctionState;
  /** Calls of it that are running. */
  #calls = 0;

  /**
   * Makes the function with this ID, which `caller` calls.
   *
   * @param origin the selector of the call that it came with
   */
  constructor(
    id: string,
    caller: Caller,
    session: SessionState,
    state: "lent" | "late" | "owned",
    origin: string,
  ) {
    this.id = id;
    this.#caller = caller;
    this.#session = session;
    this.#state = state;
    this.#origin = origin;
  }

  /**
   * Whether the answer to its call has to name it. A running call of it keeps it
   * too, because that call may arrive after the answer.
   *
   * @param ends whether the answer ends the call
   */
  isKept(ends: boolean): boolean {
    return this.#state === "retained" || (ends && this.#calls > 0);
  }

  /** The call that it came with is answered. */
  answered(event: "keep" | "return" | "continue"): void {
    this.#handle(event);
  }

  /** The function that programs get. */
  toFunction(): CallbackFunction {
    const callback = Object.assign(
      (...args: unknown[]) => this.#call(args),
      {
        retain: () => {
          this.#retain();
          return callback;
        },
        release: () => this.#handle("release"),
        [Symbol.dispose]: () => this.#handle("release"),
      },
    ) as CallbackFunction;
    return callback;
  }

  #call(args: unknown[]): RemoteCall {
    if (this.#state === "released" || this.#state === "returning") {
      return this.#remoteCall(Promise.reject(this.#gone("call")));
    }
    const response = this.#caller.request(this.id, callArguments(args));
    this.#calls++;
    const done = () => {
      this.#calls--;
      this.#releaseIfIdle();
    };
    response.then(done, done);
    return this.#remoteCall(response);
  }

  /** The peer's function must not end the process by failing. */
  #remoteCall(response: Promise<RpcResponse>): RemoteCall {
    return new RemoteCall(
      response,
      this.id,
      undefined,
      (error) => this.#session.onError(error, this.#origin),
    );
  }

  #retain(): void {
    this.#handle("retain");
    if (this.#state !== "retained" && this.#state !== "owned") {
      throw this.#gone("retain");
    }
  }

  #handle(event: RemoteFunctionEvent): void {
    this.#state = nextRemoteFunction(this.#state, event);
    this.#releaseIfIdle();
  }

  #releaseIfIdle(): void {
    if (this.#state !== "returning" || this.#calls > 0) return;
    this.#state = nextRemoteFunction(this.#state, "idle");
    if (!this.#session.peerExtended) return;
    // If this fails, the session has ended, and the function with it.
    this.#caller.call(RELEASE_SELECTOR + this.id).catch(() => {});
  }

  #gone(what: string): RpcError {
    return new RpcError(
      "released",
      `Cannot ${what} callback "${this.id}": it was released, or not kept with retain() before its call was answered`,
    );
  }
}

/**
 * Makes the function for an ID in the response to `origin`: it lives until it is
 * released.
 */
export function ownedCallback(
  id: string,
  caller: Caller,
  session: SessionState,
  origin: string,
): CallbackFunction {
  return new RemoteFunction(id, caller, session, "owned", origin).toFunction();
}
