import { nextTurn } from "../flow/turns.ts";
import type { SessionOptions } from "../options.ts";
import type { SessionTap, SessionTransport } from "../transport/types.ts";
import type { Session } from "../types.ts";
import { CLOSE_CODE } from "./protocol.ts";
import { QuicSession } from "./session.ts";
import type { QuicConnLike } from "./types.ts";

/** A connection of QUIC, which becomes a session. */
export class QuicConnection implements SessionTransport {
  readonly #conn: QuicConnLike;
  readonly #options: SessionOptions;
  #tap: SessionTap | undefined;

  /**
   * Takes a connection.
   *
   * @param conn the connection, which the new object owns
   * @param options the default limits of its session
   */
  constructor(conn: QuicConnLike, options: SessionOptions = {}) {
    this.#conn = conn;
    this.#options = options;
  }

  startSession(options: SessionOptions = this.#options): Session {
    return new QuicSession(this.#conn, options, undefined, this.#tap);
  }

  useTap(tap: SessionTap): void {
    this.#tap = tap;
  }

  async close(): Promise<void> {
    this.#tap?.closed(undefined);
    this.#conn.close({ closeCode: CLOSE_CODE, reason: "" });
    await nextTurn();
  }

  read(): Promise<never> {
    return Promise.reject(noBytes());
  }

  write(): Promise<never> {
    return Promise.reject(noBytes());
  }

  closeWrite(): Promise<never> {
    return Promise.reject(noBytes());
  }
}

function noBytes(): TypeError {
  return new TypeError(
    "Cannot use QUIC connection as a byte stream: its channels are streams of their own",
  );
}
