import { PREFIX_SIZE, type ValueReader } from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";
import { readUint32 } from "../../uint32.ts";
import type { Caller } from "../types.ts";
import { MAX_CALL_HEADER_SIZE } from "../wire/headers.ts";
import { RELEASE_SELECTOR } from "../wire/selector.ts";
import { IdFinder } from "./callback_id.ts";

/** What is known of a response whose header has arrived. */
interface LendingHeader {
  readonly continued: boolean;
  readonly lends: string | undefined;
}

/** What drops the rest of a response. */
export interface DroppingCall {
  readonly channel: RawChannel;
  /** What reads the channel, and may have begun a value. */
  readonly reader?: ValueReader | undefined;
  /** The header of the response, if it was read. */
  readonly header: LendingHeader | undefined;
  /** Decodes it otherwise. */
  readonly decode: (bytes: Uint8Array) => LendingHeader;
  /**
   * Whether EOF was sent. Without it, the responder itself releases the functions of
   * a complete response.
   */
  readonly eofSent: boolean;
  /** Calls the responder. */
  readonly caller: Caller;
}

/**
 * Releases the functions and streams in what is left of a response that is not read
 * any more, because its channel is about to be closed. The responder does not know
 * which values were read (rpc/SPEC.md, "Callbacks").
 */
export function releaseDropped(
  { channel, reader, header, decode, eofSent, caller }: DroppingCall,
): void {
  if (header !== undefined && !lendsUntilReleased(header, eofSent)) return;
  const partial = reader?.partial;
  // Most responses are read to their end.
  if (partial === undefined && channel.ended && channel.buffered === 0) return;
  const release = (id: string) => {
    // If this fails, the session has ended, and the function with it.
    caller.call(RELEASE_SELECTOR + id, 1).catch(() => {});
  };
  const add = header !== undefined
    ? new IdFinder(header.lends!, release).add
    : afterHeader((bytes) => {
      const header = decode(bytes);
      return lendsUntilReleased(header, eofSent)
        ? new IdFinder(header.lends!, release).add
        : undefined;
    });
  if (partial !== undefined) add(partial);
  channel.whenDropped(add);
}

function lendsUntilReleased(
  { continued, lends }: LendingHeader,
  eofSent: boolean,
): boolean {
  return lends !== undefined && (continued || eofSent);
}

/** Passes the bytes after a header to what `begin` returns for it. */
function afterHeader(
  begin: (header: Uint8Array) => ((bytes: Uint8Array) => void) | undefined,
): (bytes: Uint8Array) => void {
  let held: Uint8Array = new Uint8Array(0);
  let add: ((bytes: Uint8Array) => void) | undefined;
  let isDone = false;
  return (bytes) => {
    if (isDone) return add?.(bytes);
    const all = new Uint8Array(held.length + bytes.length);
    all.set(held);
    all.set(bytes, held.length);
    held = all;
    if (all.length < PREFIX_SIZE) return;
    const end = PREFIX_SIZE + readUint32(all, 0);
    if (all.length < end && end <= MAX_CALL_HEADER_SIZE) return;
    isDone = true;
    held = new Uint8Array(0);
    if (all.length < end) return;
    try {
      add = begin(all.subarray(PREFIX_SIZE, end));
    } catch {
      return; // It is no header, so it lends nothing.
    }
    add?.(all.subarray(end));
  };
}
