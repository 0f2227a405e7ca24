import { CallbackTable } from "./callback/callback_table.ts";
import { functionHandler } from "./handler/function_handler.ts";

/** What all calls of one session share, in both directions. */
export class SessionState {
  /**
   * Whether the peer is extended: one of its headers had the field `Q`. Parts of
   * the protocol that the reference does not have are used only with such peers.
   */
  peerExtended = false;
  /** The functions that this side lends to the peer. */
  readonly callbacks: CallbackTable;

  /** Makes the state of a session that may lend `maxCallbacks` functions. */
  constructor(maxCallbacks: number) {
    this.callbacks = new CallbackTable(
      maxCallbacks,
      (fn) => functionHandler(fn, undefined),
    );
  }
}
