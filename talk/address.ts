import { loadScheme, type Scheme, SCHEME_NAMES } from "../mux/internal.ts";
import { redactedAddress, redactedIn } from "../printable_text.ts";
import { kindOf } from "../check_option.ts";
import { loadedInTime, NOT_LOADED } from "../time_limit.ts";
import { TalkError } from "./errors.ts";

/** What addresses are for. */
type Verb = "dial" | "listen";

/**
 * Waits for a part of this package that `import()` loads. For listening, it waits as
 * {@linkcode loadedInTime} does; dialing has time limits of its own.
 *
 * @throws {TalkError} `dial-failed` or `listen-failed` if it cannot be loaded, which
 * may be different at the next attempt
 */
export async function loaded<T>(verb: Verb, loading: Promise<T>): Promise<T> {
  try {
    return await (verb === "listen" ? loadedInTime(loading) : loading);
  } catch (cause) {
    throw new TalkError(
      `${verb}-failed`,
      `Cannot ${verb}: ${NOT_LOADED}: ${textOf(cause)}`,
      { cause },
    );
  }
}

/**
 * Splits an address into its scheme, which it loads, and the part after the colon.
 *
 * @throws {TalkError} `unknown-scheme`, or `bad-address` if it is not a string; as
 * {@linkcode loaded}
 */
export async function resolveAddress(
  address: string,
  verb: Verb = "dial",
): Promise<{ scheme: Scheme; rest: string }> {
  if (typeof address !== "string") {
    throw new TalkError(
      "bad-address",
      `Cannot use address: ${kindOf(address)} is not a string${
        Array.isArray(address) ? "; only dial() takes several" : ""
      }`,
    );
  }
  const colon = address.indexOf(":");
  const name = colon < 0 ? "" : address.slice(0, colon).toLowerCase();
  const loading = name === "peer" ? peerScheme() : loadScheme(name);
  const scheme = loading && await loaded(verb, loading);
  if (scheme === undefined) {
    const shown = redactedAddress(address);
    const meant = /^(\[[^/]*\]|[^/:]+):\d+$/.test(address)
      ? "tcp://"
      : /^\.{0,2}\/[^/]/.test(address) && "unix:";
    const hint = /^https?$/.test(name)
      ? "; use ws: or wss:"
      : meant
      ? `; did you mean "${meant}${shown}"?`
      : "";
    throw new TalkError(
      "unknown-scheme",
      `Cannot use address "${shown}": its scheme is not one of ${
        SCHEME_NAMES.join(", ")
      }, peer${hint}`,
    );
  }
  return { scheme, rest: address.slice(colon + 1) };
}

/** The scheme of peers that meet at a rendezvous, which uses calls itself. */
async function peerScheme(): Promise<Scheme> {
  return (await import("./rendezvous/internal.ts")).peer;
}

/** Makes the error for an address that could not be dialed or listened on. */
export function addressError(
  verb: Verb,
  address: string,
  cause: unknown,
  permanent: boolean = isPermanent(cause),
): TalkError {
  const bad = cause instanceof SyntaxError;
  return new TalkError(
    bad ? "bad-address" : `${verb}-failed`,
    `Cannot ${verb === "dial" ? "dial" : "listen on"} "${
      redactedAddress(address)
    }": ${hidden(textOf(cause), address)}`,
    { cause: withoutSecrets(cause, address), permanent },
  );
}

/** Names of errors that stay until the program or the system changes. */
const PERMANENT_NAMES: readonly string[] = [
  // A permission of Deno is missing, or one of the system.
  "NotCapable",
  "PermissionDenied",
  // TLS: a certificate is not valid, or the server does not speak it.
  "InvalidData",
  "InvalidInput",
  "NotSupported",
  // stdin and stdout are closed.
  "BadResource",
  // The runtime has no such API, or the program misuses it.
  "ReferenceError",
  "RangeError",
  "SecurityError",
  "SyntaxError",
  "TypeError",
];
/** Codes of such errors of the system. */
const PERMANENT_CODES: readonly unknown[] = [
  "EACCES",
  "EAFNOSUPPORT",
  "EINVAL",
  "ENAMETOOLONG",
  "EPERM",
  "EPROTONOSUPPORT",
  "EPROTOTYPE",
];
/** HTTP status codes below 500 with which a server asks to try again. */
const TEMPORARY_STATUS: readonly number[] = [408, 425, 429];
/** HTTP status codes from 500 on that stay. */
const PERMANENT_STATUS: readonly number[] = [501, 505];

/** Whether every further attempt would fail in the same way. */
export function isPermanent(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  const { status, code, permanent } = cause as {
    status?: unknown;
    code?: unknown;
    permanent?: unknown;
  };
  if (typeof status === "number") {
    return status < 500
      ? !TEMPORARY_STATUS.includes(status)
      : PERMANENT_STATUS.includes(status);
  }
  return permanent === true || PERMANENT_NAMES.includes(cause.name) ||
    PERMANENT_CODES.includes(code);
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Errors of the runtime may quote the address. */
function withoutSecrets(cause: unknown, address: string): unknown {
  if (!(cause instanceof Error)) return cause;
  const message = hidden(cause.message, address);
  if (message === cause.message) return cause;
  const copy = new Error(message);
  copy.name = cause.name;
  return copy;
}

/** A text about an address, which Node quotes without its scheme. */
function hidden(text: string, address: string): string {
  const shown = redactedIn(text);
  const [, scheme, path] = /^(unix:(?:\/\/)?)(.+)$/i.exec(address) ?? [];
  return scheme === undefined
    ? shown
    : shown.replaceAll(path!, redactedAddress(address).slice(scheme.length));
}
