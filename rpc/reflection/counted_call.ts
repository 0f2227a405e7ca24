/**
 * One call that is counted: what it is answered, and when.
 *
 * @module
 */
import type { Channel, WaitOptions } from "../../mux/internal.ts";
import { isServerCall, isServerResponder } from "../handler/invoke.ts";
import { capture, isCapturing } from "../handler/respond_with.ts";
import type { ServerResponder } from "../server/server_call.ts";
import type { Call, Responder } from "../types.ts";
import { errorCode } from "../wire/headers/error_header.ts";

/** A call that is in progress. */
export class CountedCall {
  /** How it ends, as far as it is known. */
  outcome = "ok";
  readonly selector: string;
  readonly #call: Call;
  readonly #now: () => number;
  readonly #begun: number;
  #latency: number | undefined;

  constructor(call: Call, now: () => number) {
    this.selector = call.selector;
    this.#call = call;
    this.#now = now;
    this.#begun = now();
  }

  /** The time to the first answer. */
  get latency(): number {
    return this.#latency ?? 0;
  }

  /** It gets an answer; only the first counts. */
  answered(): void {
    if (this.#latency !== undefined) return;
    this.#latency = this.#now() - this.#begun;
    const call = this.#call;
    if (isServerCall(call) && call.hasLeft) this.outcome = "cancelled";
  }

  /** The call gets these values, if sending them succeeds. */
  returns(values: readonly unknown[]): void {
    this.answered();
    if (this.outcome === "cancelled") return;
    const [value] = values;
    this.outcome = values.length === 1 && value instanceof Error
      ? outcomeOf(value)
      : "ok";
  }
}

/** How a call ends that fails: the code of the error, or `error`. */
export function outcomeOf(error: unknown): string {
  return errorCode(error) || "error";
}

/** Makes a responder that records the answer of a call. */
export function counting(respond: Responder, call: CountedCall): Responder {
  if (!isServerResponder(respond)) return new CountingResponder(respond, call);
  return isCapturing(respond)
    ? new CountingCapturer(respond, call)
    : new CountingServerResponder(respond, call);
}

class CountingResponder<R extends Responder = Responder> implements Responder {
  protected readonly outer: R;
  protected readonly counted: CountedCall;

  constructor(outer: R, counted: CountedCall) {
    this.outer = outer;
    this.counted = counted;
  }

  return(...values: unknown[]): Promise<void> {
    this.counted.returns(values);
    return this.outer.return(...values);
  }

  continue(...values: unknown[]): Promise<Channel> {
    this.counted.answered();
    return this.outer.continue(...values);
  }

  send(value: unknown, options?: WaitOptions): Promise<void> {
    return this.outer.send(value, options);
  }
}

/** The same, for a responder of the server's own kind. */
class CountingServerResponder<R extends ServerResponder = ServerResponder>
  extends CountingResponder<R>
  implements ServerResponder {
  returnAll(values: readonly unknown[]): Promise<void> {
    this.counted.returns(values);
    return this.outer.returnAll(values);
  }

  sendNow(value: unknown): Promise<void> | undefined {
    return this.outer.sendNow(value);
  }

  continueWithStream(): Promise<void> {
    this.counted.answered();
    return this.outer.continueWithStream();
  }

  continueWithBytes(): Promise<Channel> {
    this.counted.answered();
    return this.outer.continueWithBytes();
  }

  end(): void {
    this.outer.end();
  }

  fail(reason: unknown): boolean {
    this.counted.outcome = outcomeOf(reason);
    return this.outer.fail(reason);
  }

  handOver(): void {
    this.counted.answered();
    this.outer.handOver();
  }
}

/** The same, for one with middleware around it. */
class CountingCapturer extends CountingServerResponder<
  ServerResponder & { [capture](result: unknown): Promise<void> }
> {
  [capture](result: unknown): Promise<void> {
    this.counted.answered();
    return this.outer[capture](result);
  }
}
