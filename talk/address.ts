import { hideSecrets, withoutSecrets } from "../printable_text.ts";
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
      `Cannot use address "${
        withoutSecrets(address)
      }": its scheme is not one of ${SCHEME_NAMES.join(", ")}`,
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
  const text = cause instanceof Error ? cause.message : String(cause);
  const safe = hideSecrets(text, address);
  return new TalkError(
    bad ? "bad-address" : `${verb}-failed`,
    `Cannot ${verb === "dial" ? "dial" : "listen on"} "${
      withoutSecrets(address)
    }": ${safe}`,
    // Whatever prints the error prints its cause as well.
    safe === text ? { cause } : undefined,
  );
}
