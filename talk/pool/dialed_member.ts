import type { Carried } from "../../codec/internal.ts";
import { redactedAddress } from "../../printable_text.ts";
import type { Handler } from "../../rpc/internal.ts";
import type { CloseOptions } from "../close_options.ts";
import type { Peer } from "../peer.ts";
import {
  type Environment as ConnectionEnvironment,
  Reconnector,
} from "../reconnect/reconnector.ts";
import type { ConnectionState, ReconnectOptions } from "../reconnect/types.ts";
import { Member } from "./member.ts";

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
  onConnect(peer: Peer<C>, member: DialedMember<C>): void | Promise<void>;
  /** The state has changed. */
  onState(member: DialedMember<C>, before: ConnectionState<C>): void;
}

/** A member that the pool has dialed, and dials again when it is lost. */
export class DialedMember<C extends Carried = Carried> extends Member<C> {
  state: ConnectionState<C> = { name: "connecting", attempt: 1 };
  /** The error of the latest attempt. */
  latestError: unknown;
  readonly #reconnector: Reconnector<C>;

  /** Starts to connect. */
  constructor(address: string, host: MemberHost<C>) {
    const { environment, reconnect } = host;
    super(redactedAddress(address), () => environment.now());
    this.#reconnector = new Reconnector<C>(
      {
        ...reconnect,
        onConnect: (peer) => host.onConnect(peer, this),
        onState: (state) => {
          const before = this.state;
          this.state = state;
          if ("error" in state) this.latestError = state.error;
          if (state.name === "connected") this.accepts();
          host.onState(this, before);
        },
      },
      host.handler,
      {
        connect: (handler, signal) =>
          environment.dial(address, handler, signal),
        wait: (ms, signal) => environment.wait(ms, signal),
        now: this.now,
        random: () => environment.random(),
        report: (error, peer) => environment.report(error, peer),
      },
    );
  }

  /** As `ReconnectingPeer.close()`. */
  close(options?: CloseOptions): Promise<void> {
    return this.#reconnector.close(options);
  }
}
