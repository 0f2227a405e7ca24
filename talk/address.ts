import { loadScheme, type Scheme, SCHEME_NAMES } from "../mux/internal.ts";
import { TalkError } from "./errors.ts";

/**
 * Splits an address into its scheme and the part after the colon.
 *
 * @throws {TalkError} `unknown-scheme`
 */
export async function resolveAddress(
  address: string,
): Promise<{ scheme: Scheme; rest: string }> {
  const colon = address.indexOf(":");
  const name = colon < 0 ? "" : address.slice(0, colon).toLowerCase();
  const scheme = await loadScheme(name);
  if (scheme === undefined) {
    throw new TalkError(
      "unknown-scheme",
      `Cannot use address "${address}": its scheme is not one of ${
        SCHEME_NAMES.join(", ")
      }`,
    );
  }
  return { scheme, rest: address.slice(colon + 1) };
}

/** Makes the error for an address that could not be dialed or listened on. */
export function addressError(
  verb: "dial" | "listen",
  address: string,
  cause: unknown,
): TalkError {
  const bad = cause instanceof SyntaxError;
  return new TalkError(
    bad ? "bad-address" : `${verb}-failed`,
    `Cannot ${verb === "dial" ? "dial" : "listen on"} "${address}": ${
      cause instanceof Error ? cause.message : cause
    }`,
    { cause },
  );
}
