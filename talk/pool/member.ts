import type { Carried } from "../../codec/internal.ts";
import { copyOf, MuxError } from "../../mux/internal.ts";
import { RemoteError, RpcError } from "../../rpc/internal.ts";
import type { Peer } from "../peer.ts";
import { usablePeer } from "../reconnect/reconnector.ts";
import type { ConnectionState } from "../reconnect/types.ts";
import type { PoolMember } from "./types.ts";

/** How long a member that refused a call is the last choice, in milliseconds. */
const REFUSED = 1_000;
/** The longest such time that a peer can ask for. */
const MAX_REFUSED = 60_000;

/** A member as the calls of its pool see it. */
export abstract class Member<C extends Carried = Carried>
  implements PoolMember<C> {
  abstract readonly state: ConnectionState<C>;
  inFlight = 0;
  /** Until when other members get calls first. */
  #refusesUntil = -Infinity;

  constructor(readonly address: string, readonly now: () => number) {}

  /** The peer that calls can be sent to. */
  get peer(): Peer<C> | undefined {
    return usablePeer(this.state);
  }

  /** Whether other members should get calls first. */
  get refuses(): boolean {
    return this.#refusesUntil > this.now();
  }

  /** The member has refused a call: other members get calls first for a while. */
  refused(error: unknown): void {
    if (!(error instanceof RemoteError)) return;
    const details = error.details as { retryAfter?: unknown } | undefined;
    const { retryAfter } = details ?? {};
    const time = typeof retryAfter === "number" && retryAfter >= 0
      ? Math.min(retryAfter, MAX_REFUSED)
      : REFUSED;
    this.#refusesUntil = this.now() + time;
  }

  /** It is connected again, and has refused nothing on this connection. */
  protected accepts(): void {
    this.#refusesUntil = -Infinity;
  }

  /** An error of this side that ended a call, with the address in its message. */
  named(error: unknown): unknown {
    if (!(error instanceof MuxError || error instanceof RpcError)) return error;
    if (error.message.includes(this.address)) return error;
    const message = `${error.message}, at "${this.address}"`;
    if (error instanceof MuxError) return copyOf(error, message);
    const { code, cause } = error;
    return new RpcError(code, message, cause === undefined ? {} : { cause });
  }
}
