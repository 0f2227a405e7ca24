import "../mod.ts"; // Keeps bundles in few chunks.
import type { Transport } from "../../mux/internal.ts";
import { orAborted, timeLimit } from "../../time_limit.ts";
import { redactedAddress, redactedIn } from "../../printable_text.ts";
import { TalkError } from "../errors.ts";

/** What one of several addresses has led to. */
export interface Connected {
  readonly transport: Transport;
  /** The address. */
  readonly address: string;
}

/** How a race is run. */
export interface RaceOptions {
  /** Connects to one address. */
  attempt(address: string, signal: AbortSignal): Promise<Transport>;
  /** Milliseconds that each address has before the next one is tried as well. */
  headStart: number;
  /** Gives the race up. */
  signal: AbortSignal;
}

/**
 * Connects to the first of several addresses that can be connected to, in their
 * order: each has a head start, and the next one is tried when that has passed or
 * the attempt has failed. Attempts that are in progress go on. Once there is a
 * connection, the others are given up.
 *
 * @throws {TalkError} `bad-address` or `unknown-scheme` at once, or if there is no
 * address; `dial-failed` if all attempts have failed, with an `AggregateError` as its
 * `cause`
 * @throws {unknown} the reason of the signal
 */
export async function race(
  addresses: readonly string[],
  { attempt, headStart, signal }: RaceOptions,
): Promise<Connected> {
  if (addresses.length === 0) {
    throw new TalkError(
      "bad-address",
      "Cannot dial: the list of addresses is empty",
    );
  }
  const losers = new AbortController();
  const either = AbortSignal.any([signal, losers.signal]);
  const won = Promise.withResolvers<Connected>();
  const errors: unknown[] = [];
  let next = 0;
  let isOver = false;
  let cancelHeadStart: (() => void) | undefined;

  function start(): void {
    cancelHeadStart?.();
    cancelHeadStart = undefined;
    const address = addresses[next];
    if (isOver || address === undefined) return;
    const index = next++;
    if (next < addresses.length) {
      cancelHeadStart = timeLimit(headStart, start);
    }
    attempt(address, either).then(
      (transport) => {
        // Two may have succeeded in the same turn, or one as the race was given up.
        if (isOver || signal.aborted) return void transport.close();
        isOver = true;
        won.resolve({ transport, address });
      },
      (error) => failed(index, error),
    );
  }

  function failed(index: number, error: unknown): void {
    errors[index] = error;
    const isMistake = error instanceof TalkError &&
      (error.code === "bad-address" || error.code === "unknown-scheme");
    if (isMistake) {
      // An attempt may succeed in the same turn.
      isOver = true;
      return won.reject(error);
    }
    if (Object.keys(errors).length === addresses.length) {
      won.reject(allFailed(addresses, errors));
    } else start();
  }

  start();
  try {
    return await orAborted(won.promise, signal);
  } finally {
    isOver = true;
    cancelHeadStart?.();
    losers.abort(new DOMException("Another address was faster", "AbortError"));
  }
}

function allFailed(
  addresses: readonly string[],
  errors: readonly unknown[],
): TalkError {
  const text = errors.map((error) => redactedIn((error as Error).message))
    .join("; ");
  const message = `Cannot dial any of ${addresses.length} addresses: ${text}`;
  return new TalkError("dial-failed", message, {
    cause: new AggregateError(
      errors,
      addresses.map(redactedAddress).join(", "),
    ),
    permanent: errors.every((error) => (error as TalkError).permanent === true),
  });
}
