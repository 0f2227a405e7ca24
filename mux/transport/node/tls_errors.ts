import { TlsError, type TlsErrorCode } from "../../errors.ts";

/** Codes of OpenSSL and of Node, and what they mean. */
const CODES: readonly (readonly [RegExp, TlsErrorCode, string])[] = [
  [/ALTNAME_INVALID|HOSTNAME_MISMATCH/, "wrong-name", ""],
  [/CERT_HAS_EXPIRED/, "expired", "the certificate has expired"],
  [/CERT_NOT_YET_VALID/, "not-yet-valid", "the certificate is not valid yet"],
  [
    /SELF_SIGNED|UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY/,
    "unknown-issuer",
    "the issuer of the certificate is unknown",
  ],
  [
    /ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE.*CERT)/,
    "no-client-certificate",
    "the server demands a client certificate",
  ],
  [
    /ALERT_(UNKNOWN_CA|.*CERTIFICATE)/,
    "bad-certificate",
    "the other side refuses the certificate",
  ],
  [
    /NO_APPLICATION_PROTOCOL/,
    "wrong-protocol",
    "the other side speaks another protocol (ALPN)",
  ],
  [
    /ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|SupportedVersions|Tls1\dNot|ProtocolVersion/,
    "wrong-version",
    "both sides have no version of TLS in common",
  ],
  [
    /WRONG_VERSION_NUMBER|UNEXPECTED_MESSAGE|UnexpectedMessage|HTTP_REQUEST|PACKET_LENGTH|RECORD_LAYER/,
    "not-tls",
    "the other side does not speak TLS",
  ],
  [/^(CERT_|INVALID_CA)/, "bad-certificate", "the certificate is not valid"],
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
  if (/^ERR_(SSL|OSSL|TLS)_/.test(code ?? "")) {
    return new TlsError("handshake-failed", firstLine(message), { cause });
  }
  return cause instanceof Error ? cause : new Error(String(cause));
}

function firstLine(text = ""): string {
  return text.split("\n", 1)[0]!;
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
