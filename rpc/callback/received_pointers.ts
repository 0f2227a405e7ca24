/**
 * Functions and streams of the peer in what arrives, and in what is dropped of it.
 *
 * @module
 */
import { isPlainObject, PREFIX_SIZE } from "../../codec/internal.ts";
import { readUint32 } from "../../uint32.ts";
import { concat } from "../../view.ts";
import type { Caller } from "../types.ts";
import { MAX_CALL_HEADER_SIZE } from "../wire/headers/header.ts";
import { PointerFinder } from "./pointer_finder.ts";
import {
  type LendingHeader,
  lendsUntilReleased,
  POINTER_KEY,
} from "./pointers.ts";
import { releaseSoon } from "./release.ts";

/**
 * Replaces the pointers in a decoded value by what they stand for, in place. The codec has
 * limited how deeply the value is nested.
 *
 * @param value the decoded value
 * @param functionFor returns the function or the stream for an ID
 */
export function revivePointers(
  value: unknown,
  functionFor: (id: string) => unknown,
): unknown {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      value[i] = revivePointers(value[i], functionFor);
    }
    return value;
  }
  if (typeof value !== "object" || value === null) return value;
  if (!isPlainObject(value)) {
    if (value instanceof Map) reviveEntries(value, functionFor);
    else if (value instanceof Set) reviveElements(value, functionFor);
    return value;
  }
  const record = value as Record<string, unknown>;
  const keys = Object.keys(record);
  const id = record[POINTER_KEY];
  if (keys.length === 1 && typeof id === "string" && id !== "") {
    return functionFor(id);
  }
  for (const key of keys) {
    const member = record[key];
    const revived = revivePointers(member, functionFor);
    // Defined instead of assigned, because the key may be `__proto__`.
    if (revived !== member) {
      Object.defineProperty(record, key, { value: revived });
    }
  }
  return value;
}

function reviveEntries(
  map: Map<unknown, unknown>,
  functionFor: (id: string) => unknown,
): void {
  const entries = [...map];
  map.clear();
  for (const [key, member] of entries) {
    const name = revivePointers(key, functionFor);
    map.set(name, revivePointers(member, functionFor));
  }
}

function reviveElements(
  set: Set<unknown>,
  functionFor: (id: string) => unknown,
): void {
  const elements = [...set];
  set.clear();
  for (const element of elements) set.add(revivePointers(element, functionFor));
}

/** A response of which the rest is dropped. */
export interface DroppedResponse {
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
 * Returns what takes the dropped bytes of a response whose channel is closed before they
 * are read, and releases the functions and streams in them. The responder does not know
 * which values were read (rpc/SPEC.md, "Callbacks").
 */
export function releaserOf(
  { header, decode, eofSent, caller }: DroppedResponse,
): (bytes: Uint8Array) => void {
  const releaserAfter = (header: LendingHeader) =>
    lendsUntilReleased(header, eofSent)
      ? new PointerFinder((id) => releaseSoon(id, caller), header.lends).add
      : undefined;
  return header === undefined
    ? afterHeader((bytes) => releaserAfter(decode(bytes)))
    : releaserAfter(header) ?? (() => {});
}

/**
 * Releases the functions in a decoded value that no program gets.
 *
 * @param lends what their IDs begin with
 */
export function releaseIn(
  value: unknown,
  lends: string,
  caller: Caller,
): void {
  revivePointers(value, (id) => {
    if (id.startsWith(lends)) releaseSoon(id, caller);
  });
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
    const all = held = concat(held, bytes);
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
