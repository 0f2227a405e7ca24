/**
 * The two kinds of calls, by what their callers want of the response.
 *
 * @module
 */
import { type ClientState, OutgoingCall } from "./outgoing_call.ts";
import { RpcResponse } from "./response.ts";

/** A call that wants the first value only. */
export class ValueCall extends OutgoingCall {
  readonly #resolve: (value: unknown) => void;
  #value: unknown = null;

  /** Makes a call whose outcome is one value. */
  constructor(
    selector: string,
    state: ClientState,
    resolve: (value: unknown) => void,
    reject: (reason: unknown) => void,
  ) {
    super(selector, state, reject);
    this.#resolve = resolve;
  }

  protected override take(value: unknown): boolean {
    this.#value = value;
    this.continued = false;
    return true;
  }

  protected override complete(): void {
    this.#resolve(this.#value);
  }
}

/** A call that wants the whole response. */
export class ResponseCall extends OutgoingCall {
  readonly #resolve: (response: RpcResponse) => void;
  readonly #values: unknown[] = [];

  /** Makes a call whose outcome is a response. */
  constructor(
    selector: string,
    state: ClientState,
    resolve: (response: RpcResponse) => void,
    reject: (reason: unknown) => void,
  ) {
    super(selector, state, reject);
    this.#resolve = resolve;
  }

  protected override take(value: unknown): boolean {
    this.#values.push(value);
    return this.continued;
  }

  protected override complete(): void {
    const channel = this.continued ? this.channel : undefined;
    this.#resolve(new RpcResponse(this.#values, channel, this));
  }
}
