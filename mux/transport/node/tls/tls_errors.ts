import { TlsError, type TlsErrorCode } from "../../../errors.ts";

const NOT_TLS = "the other side does not speak TLS";

/** Codes of OpenSSL and of Node, and texts of Deno, and what they mean. */
const CODES: readonly (readonly [RegExp, TlsErrorCode, string])[] = [
  [/ALTNAME_INVALID|HOSTNAME_MISMATCH|not valid for name/, "wrong-name", ""],
  [
    /CERT_HAS_EXPIRED|certificate expired/,
    "expired",
    "the certificate has expired",
  ],
  [
    /CERT_NOT_YET_VALID|certificate not valid yet/,
    "not-yet-valid",
    "the certificate is not valid yet",
  ],
  [
    /SELF_SIGNED|UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY|UnknownIssuer/,
    "unknown-issuer",
    "the issuer of the certificate is unknown",
  ],
  [
    /ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE.*CERT)|alert: CertificateRequired/,
    "no-client-certificate",
    "the server demands a client certificate",
  ],
  [
    /ALERT_(UNKNOWN_CA|.*CERTIFICATE)|alert: (UnknownC[Aa]|\w*Certificate)/,
    "bad-certificate",
    "the other side refuses the certificate",
  ],
  // Deno's code for this is that of a peer without TLS.
  [/MissingData/, "handshake-failed", ""],
  [
    /NO_APPLICATION_PROTOCOL|NoApplicationProtocol/,
    "wrong-protocol",
    "the other side speaks another protocol (ALPN)",
  ],
  [
    /ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|SupportedVersions|Tls1\dNot|alert: ProtocolVersion/,
    "wrong-version",
    "both sides have no version of TLS in common",
  ],
  [
    // Deno looks for this, which TLS 1.1 does not have, before the version.
    /SignatureAlgorithmsExtensionRequired/,
    "wrong-version",
    "the other side has no version of TLS from 1.2 on",
  ],
  [
    // The last is how Deno notices an echo server.
    /WRONG_VERSION_NUMBER|UNEXPECTED_MESSAGE|UnexpectedMessage|InvalidContentType|HTTP_REQUEST|PACKET_LENGTH|RECORD_LAYER|UnknownProtocol|EmptyPayload|expecting Handshake$|got ClientHello/,
    "not-tls",
    NOT_TLS,
  ],
  [
    /^(CERT_|INVALID_CA)|invalid peer certificate/,
    "bad-certificate",
    "the certificate is not valid",
  ],
];

/** The error of a handshake for one of the runtime; that itself if it is another. */
export function tlsErrorOf(cause: unknown): Error {
  if (cause instanceof TlsError) return cause;
  const { code, message } = (cause ?? {}) as {
    code?: string;
    message?: string;
  };
  for (const [pattern, kind, text] of CODES) {
    // Deno has one code for several alerts, and names them in the message.
    if (!pattern.test(`${code} ${message}`)) continue;
    return new TlsError(kind, text || firstLine(message), { cause });
  }
  if (/^ERR_(SSL|OSSL|TLS)_/.test(code ?? "") || isOfDenoTls(cause)) {
    // Node puts the place in OpenSSL around the reason.
    const { reason = firstLine(message) } = cause as { reason?: string };
    return new TlsError("handshake-failed", reason, { cause });
  }
  return cause instanceof Error ? cause : new Error(String(cause));
}

/** The error, with what to do about it if the issuer of a certificate is unknown. */
export function advised(error: Error): Error {
  if (!(error instanceof TlsError) || error.code !== "unknown-issuer") {
    return error;
  }
  return new TlsError(
    error.code,
    `${error.message}: option "tls.ca" adds it, or "tls.pin" trusts the certificate by its fingerprint`,
    { cause: error.cause },
  );
}

/** Deno's own TLS has no codes, and this name for all of its errors. */
function isOfDenoTls(cause: unknown): boolean {
  return (cause as Error | undefined)?.name === "InvalidData";
}

function firstLine(text = ""): string {
  return text.split("\n", 1)[0]!;
}

/** Bytes of an alert: a server that has sent more has answered before. */
const ALERT_SIZE = 7;

/**
 * The error of a client's handshake.
 *
 * @param cause the error of the runtime
 * @param received bytes that the server has sent
 * @param hasCertificate whether the client has a certificate
 */
export function clientErrorOf(
  cause: unknown,
  received: number,
  hasCertificate: boolean,
): Error {
  const error = tlsErrorOf(cause);
  if (!(error instanceof TlsError)) return error;
  const { code } = error;
  const refused = code === "handshake-failed" && isRefusal(cause);
  // Up to TLS 1.2, servers have no alert of its own for this. One that refuses a
  // client after both have agreed on a version and a cipher misses the certificate.
  if (
    !hasCertificate &&
    (refused && received > ALERT_SIZE || code === "bad-certificate")
  ) {
    return noClientCertificate(cause);
  }
  if (!refused) return error;
  return refusedHandshake("both may have no cipher in common", cause);
}

/**
 * The error of a client whose handshake the server refuses, as it would refuse the
 * next one, without saying why.
 *
 * @param why what the reason may be
 */
export function refusedHandshake(why: string, cause: unknown): TlsError {
  const message = `the server refuses the handshake: ${why}`;
  return new TlsError("handshake-failed", message, { cause, permanent: true });
}

/** The error of a client whose server demands a certificate. */
export function noClientCertificate(cause: unknown): TlsError {
  return new TlsError(
    "no-client-certificate",
    "the server demands a client certificate",
    { cause },
  );
}

/** Whether the other side has refused a handshake without a special reason. */
export function isRefusal(cause: unknown): boolean {
  const { code, message } = cause as { code?: string; message?: string };
  return /ALERT_HANDSHAKE_FAILURE|alert: HandshakeFailure/
    .test(`${code} ${message}`) &&
    // Deno has the same code for what this side refuses.
    !/^peer /.test(`${message}`);
}

/** The error for another end whose first bytes are not TLS. */
export function notTls(): TlsError {
  return new TlsError("not-tls", NOT_TLS);
}

/**
 * The error of a server's handshake, whose client has begun as one of TLS does.
 *
 * @param cause the error of the runtime
 * @param sent bytes that the server has sent
 */
export function serverErrorOf(cause: unknown, sent: number): Error {
  const error = tlsErrorOf(cause);
  if (!(error instanceof TlsError) || error.code !== "not-tls") return error;
  return new TlsError(
    "handshake-failed",
    sent > ALERT_SIZE
      // Bun cannot read some alerts.
      ? "the client has ended the handshake: it may not trust the certificate"
      : "the client's first message is malformed",
    { cause },
  );
}

/** The error of a connection that was cut: an end of TLS would have been said. */
export function cut(cause?: unknown): TlsError {
  return new TlsError(
    "truncated",
    "the connection was cut: the other side has not ended TLS",
    cause === undefined ? undefined : { cause },
  );
}

/** Numbers of alerts (RFC 8446, section 6). */
const ALERTS: Partial<Record<TlsErrorCode, number>> = {
  "not-tls": 10,
  "wrong-version": 70,
  "wrong-protocol": 120,
};
const HANDSHAKE_FAILURE = 40;

/**
 * The alert for a client whose handshake has failed, for runtimes that send none.
 * A peer without TLS can tell by it what it has dialed.
 */
export function alertOf(code: TlsErrorCode): Uint8Array {
  const alert = ALERTS[code] ?? HANDSHAKE_FAILURE;
  return Uint8Array.of(0x15, 3, 1, 0, 2, 2, alert);
}

/** The codes that a server tells a client after the handshake, as text. */
const TOLD: readonly TlsErrorCode[] = [
  "no-client-certificate",
  "wrong-client-certificate",
];
/** What such a text begins with: no frame does, and no HTTP. */
const PREFIX = "qtalk tls: ";

/**
 * What a server sends to a client whose certificate it refuses. The handshake is
 * over for the client then, and an end alone would look like one of any other kind.
 */
export function refusalText(code: TlsErrorCode): Uint8Array {
  return new TextEncoder().encode(`${PREFIX}${code}\n`);
}

/** The error in what a server sent first; undefined if there is none. */
export function refusalIn(bytes: Uint8Array): TlsError | undefined {
  if (bytes[0] !== PREFIX.charCodeAt(0) || bytes.length > 64) return undefined;
  const text = new TextDecoder().decode(bytes);
  const code = TOLD.find((code) => text === `${PREFIX}${code}\n`);
  if (code === undefined) return undefined;
  return new TlsError(
    code,
    code === "no-client-certificate"
      ? "the server demands a client certificate"
      : "the server does not trust the client certificate",
  );
}
