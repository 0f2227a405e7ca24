import { advised, tlsErrorOf } from "../transport/node/tls/tls_errors.ts";
import { TlsError, type TlsErrorCode } from "../errors.ts";

/**
 * Why an attempt to use QUIC failed, apart from TLS.
 *
 * | code | meaning |
 * | --- | --- |
 * | `unavailable` | this runtime has no QUIC, or Deno was started without `--unstable-net` |
 * | `no-answer` | no packet from the other side arrived: nothing listens there, or the network drops UDP |
 * | `refused` | the other side accepts no connections now |
 */
export type QuicErrorCode = "unavailable" | "no-answer" | "refused";

/**
 * An error of QUIC: the `cause` of the error that `dial()` or `listen()` rejects
 * with.
 */
export class QuicError extends Error {
  /** Always `"QuicError"`. */
  override readonly name = "QuicError";
  /** What is wrong. Programs should branch on it. */
  readonly code: QuicErrorCode;
  /** Whether another attempt would fail in the same way. */
  readonly permanent: boolean;

  /**
   * Makes an error of QUIC.
   *
   * @param code what is wrong
   * @param message a description for people
   * @param options the underlying `cause`, if there is one
   */
  constructor(code: QuicErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.permanent = code === "unavailable";
  }
}

/**
 * Texts of Deno's errors, which have no codes, and what they mean. A text that ends in a
 * colon, or is missing, is followed by Deno's reason.
 */
const MEANINGS: readonly (
  readonly [RegExp, TlsErrorCode | "no-answer" | "refused", string?]
)[] = [
  [
    /timed out/,
    "no-answer",
    "no packet has arrived: nothing listens there, or the network drops UDP",
  ],
  [
    /aborted by peer: .*certificate/,
    "bad-certificate",
    "the other side refuses this side's certificate: ",
  ],
  [/refused to accept/, "refused", "the server accepts no connections now"],
  [
    /error 120\b/,
    "wrong-protocol",
    "the other side speaks another protocol (ALPN)",
  ],
  [/not valid for name/, "wrong-name"],
  [
    /CaUsedAsEndEntity/,
    "bad-certificate",
    'the certificate is that of an authority, which a server cannot use itself: have it issue another one, or trust its fingerprint with option "tls.pin"',
  ],
  [
    /invalid peer certificate: (?!UnknownIssuer|certificate )/,
    "bad-certificate",
    "the certificate is not valid: ",
  ],
  // The others about certificates are those of any TLS.
  [/handshake failed(?!.*invalid peer)/, "handshake-failed"],
];

/**
 * The error of a handshake that has failed.
 *
 * @param cause the error of the runtime
 * @param isPinned whether certificates are trusted by their fingerprints
 */
export function handshakeError(cause: unknown, isPinned: boolean): unknown {
  if (!(cause instanceof Error)) return cause;
  if (isPinned && /UnknownIssuer/.test(cause.message)) {
    return new TlsError(
      "wrong-fingerprint",
      'the certificate is not one of option "tls.pin"',
      { cause },
    );
  }
  const meaning = MEANINGS.find(([pattern]) => pattern.test(cause.message));
  if (meaning === undefined) {
    return /invalid peer/.test(cause.message)
      ? advised(tlsErrorOf(cause))
      : cause;
  }
  // Without what Deno puts before the reason.
  const reason = cause.message.replace(/^.*peer certificate: /, "");
  const [, code, known = ""] = meaning;
  const text = /(^|: )$/.test(known) ? known + reason : known;
  return code === "no-answer" || code === "refused"
    ? new QuicError(code, text, { cause })
    : new TlsError(code, text, { cause });
}
