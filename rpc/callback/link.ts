import { CallbackTable } from "./callback_table.ts";

/** What the calls of one session, in both directions, know and hold together. */
export class Link {
  /**
   * Whether the other side has announced itself by our field `Q`. What only
   * ours understand is sent to nobody else.
   */
  peerExtended = false;
  /** The functions of this side that the other side can call. */
  readonly callbacks: CallbackTable;

  /** Makes the link of a session, with room for that many callbacks. */
  constructor(maxCallbacks: number) {
    this.callbacks = new CallbackTable(maxCallbacks);
  }
}
