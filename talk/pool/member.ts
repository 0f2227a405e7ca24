import type { Carried } from "../../codec/internal.ts";
import { copyOf, MuxError } from "../../mux/internal.ts";
import { redactedAddress } from "../../printable_text.ts";
import { type Handler, RemoteError, RpcError } from "../../rpc/internal.ts";
import type { CloseOptions, Peer } from "../peer.ts";
import {
  type Environment as ConnectionEnvironment,
  Reconnector,
  usablePeer,
} from "../reconnect/reconnector.ts";
import type { ConnectionState, ReconnectOptions } from "../reconnect/types.ts";
import type { PoolMember } from "./types.ts";

/** How connections are made, and the clock; tests bring their own. */
export interface Environment<C extends Carried = Carried>
  extends Omit<ConnectionEnvironment<C>, "connect"> {
  /** Makes a connection to an address, whose calls `handler` answers. */
  dial(
    address: string,
    handler: Handler,
    signal: AbortSignal,
  ): Promise<Peer<C>>;
}

/** What a member needs of its pool. */
export interface MemberHost<C extends Carried> {
  readonly environment: Environment<C>;
  readonly handler: Handler;
  /** How it reconnects. */
  readonly reconnect: ReconnectOptions<C>;
  /** Restores what the server needs. */
  onConnect(peer: Peer<C>, member: Member<C>): void | Promise<void>;
  /** The state has changed. */
  onState(member: Member<C>, before: ConnectionState<C>): void;
}

/** How long a member that refused a call is the last choice, in milliseconds. */
const REFUSED = 1_000;
/** The longest such time that a peer can ask for. */
const MAX_REFUSED = 60_000;

/** The implementation of {@linkcode PoolMember}. */
export class Member<C extends Carried = Carried> implements PoolMember<C> {
  readonly address: string;
  state: ConnectionState<C> = { name: "connecting", attempt: 1 };
  inFlight = 0;
  /** Until when other members get calls first. */
  #refusesUntil = -Infinity;
  /** The error of the latest attempt. */
  latestError: unknown;
  readonly #reconnector: Reconnector<C>;
  readonly #now: () => number;

  /** Starts to connect. */
  constructor(address: string, host: MemberHost<C>) {
    this.address = redactedAddress(address);
    const { environment, reconnect } = host;
    this.#now = () => environment.now();
    this.#reconnector = new Reconnector<C>(
      {
        ...reconnect,
        onConnect: (peer) => host.onConnect(peer, this),
        onState: (state) => {
          const before = this.state;
          this.state = state;
          if ("error" in state) this.latestError = state.error;
          if (state.name === "connected") this.#refusesUntil = -Infinity;
          host.onState(this, before);
        },
      },
      host.handler,
      {
        connect: (handler, signal) =>
          environment.dial(address, handler, signal),
        wait: (ms, signal) => environment.wait(ms, signal),
        now: this.#now,
        random: () => environment.random(),
        report: (error, peer) => environment.report(error, peer),
      },
    );
  }

  /** The peer that calls can be sent to. */
  get peer(): Peer<C> | undefined {
    return usablePeer(this.state);
  }

  /** Whether other members should get calls first. */
  get refuses(): boolean {
    return this.#refusesUntil > this.#now();
  }

  /** The member has refused a call: other members get calls first for a while. */
  refused(error: unknown): void {
    if (!(error instanceof RemoteError)) return;
    const details = error.details as { retryAfter?: unknown } | undefined;
    const { retryAfter } = details ?? {};
    const time = typeof retryAfter === "number" && retryAfter >= 0
      ? Math.min(retryAfter, MAX_REFUSED)
      : REFUSED;
    this.#refusesUntil = this.#now() + time;
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

  /** As `ReconnectingPeer.close()`. */
  close(options?: CloseOptions): Promise<void> {
    return this.#reconnector.close(options);
  }
}
