import { ipv6Of, nameOf } from "../../address_forms.ts";
import type { Pem, TlsDialOptions, TlsVersion } from "../../types.ts";
import { requiredModule } from "../builtin.ts";
import { fingerprintOf } from "./certificate.ts";

/** The options that are PEM. */
type PemOption = "ca" | "cert" | "key";

/** A certificate, or a private key, in text that may have others. */
const CERTIFICATES =
  /-----BEGIN ([A-Z0-9 ]*CERTIFICATE)-----.+?-----END \1-----/gs;
const KEYS = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.+?-----END \1-----/gs;

/**
 * PEM text, which may be in a file. What surrounds the certificates, or the key, is
 * left out: runtimes disagree about what may be there.
 *
 * @param pem the text, or where the file is
 * @param option the name of the option
 * @throws {TypeError} if the file cannot be read, or has nothing for the option
 */
export function readPem(pem: Pem, option: PemOption): string {
  const text = textOf(pem, option);
  const isKey = option === "key";
  const found = text.match(isKey ? KEYS : CERTIFICATES);
  if (found === null) {
    throw new TypeError(
      `option "tls.${option}" has no ${
        isKey ? "private key" : "certificate"
      } in PEM`,
    );
  }
  if (
    isKey && /^-----BEGIN ENCRYPTED|^Proc-Type: .*ENCRYPTED/m.test(found[0])
  ) {
    throw new TypeError(
      `option "tls.${option}" is an encrypted key: decrypt it first`,
    );
  }
  return `${isKey ? found[0] : found.join("\n")}\n`;
}

function textOf(pem: Pem, option: PemOption): string {
  // Node would take a number for an open file, and a buffer with a key for its path,
  // which the error would then quote.
  if (typeof pem !== "string" && !(pem instanceof URL)) {
    throw new TypeError(
      `option "tls.${option}" is neither PEM text nor the path or URL of a file`,
    );
  }
  if (typeof pem === "string" && pem.includes("-----BEGIN")) return pem;
  const fs = requiredModule<{
    readFileSync(path: Pem, encoding: "utf8"): string;
  }>("node:fs");
  try {
    return fs.readFileSync(pem, "utf8");
  } catch (cause) {
    throw new TypeError(
      `Cannot read option "tls.${option}": ${(cause as Error).message}`,
      { cause },
    );
  }
}

/**
 * The certificates and keys of options, as text.
 *
 * @throws {TypeError} if one of them is not valid, or is missing
 */
export function credentialsOf(
  options: Pick<TlsDialOptions, "ca" | "cert" | "key">,
): {
  ca?: string[];
  allowPartialTrustChain?: true;
  cert?: string;
  key?: string;
} {
  const { ca, cert, key } = options;
  // Without the other one, runtimes connect as if there were none.
  if (cert !== undefined && key === undefined) {
    throw new TypeError('option "tls.cert" needs "tls.key"');
  }
  if (key !== undefined && cert === undefined) {
    throw new TypeError('option "tls.key" needs "tls.cert"');
  }
  return {
    ...(ca !== undefined && {
      ca: [ca].flat().map(authoritiesOf),
      // Node would trust an authority only if it also had the one that certified it.
      allowPartialTrustChain: true,
    }),
    ...(cert !== undefined && key !== undefined && pairOf(cert, key)),
  };
}

/** What is used of `node:crypto`. */
interface CryptoModule {
  X509Certificate: new (
    pem: string,
  ) => { checkPrivateKey(key: object): boolean };
  createPrivateKey(pem: string): object;
}

/**
 * The certificates that the runtime can read, of which a large file need not have only
 * such: Deno ends the process at another one, and Node ignores it.
 */
function authoritiesOf(pem: Pem): string {
  const { X509Certificate } = requiredModule<CryptoModule>("node:crypto");
  let problem: unknown;
  const readable = readPem(pem, "ca").split(/(?=-----BEGIN)/).filter((one) => {
    try {
      return new X509Certificate(one);
    } catch (error) {
      problem = error;
      return false;
    }
  });
  if (readable.length > 0) return readable.join("");
  throw unusable("ca", problem);
}

/** Makes sure that a key is that of a certificate: Deno looks at it later. */
function pairOf(certPem: Pem, keyPem: Pem): { cert: string; key: string } {
  const crypto = requiredModule<CryptoModule>("node:crypto");
  const cert = readPem(certPem, "cert");
  const key = readPem(keyPem, "key");
  const certificate = checked("cert", () => new crypto.X509Certificate(cert));
  const privateKey = checked("key", () => crypto.createPrivateKey(key));
  if (checked("key", () => certificate.checkPrivateKey(privateKey))) {
    return { cert, key };
  }
  throw new TypeError('option "tls.key" does not belong to "tls.cert"');
}

function checked<T>(option: "cert" | "key", parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw unusable(option, cause);
  }
}

function unusable(option: PemOption, cause: unknown): TypeError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TypeError(`option "tls.${option}" is not valid: ${why}`, {
    cause,
  });
}

/**
 * The fingerprints of option `tls.pin`, in one form; undefined if there is none.
 *
 * @throws {TypeError} if one of them is no fingerprint
 */
export function pinsOf(
  pin: string | readonly string[] | undefined,
): readonly string[] | undefined {
  if (pin === undefined) return undefined;
  return [pin].flat().map((text) => {
    const fingerprint = fingerprintOf(`${text}`);
    if (fingerprint !== undefined) return fingerprint;
    throw new TypeError(
      `Cannot use option "tls.pin": "${text}" is not the SHA-256 fingerprint of a certificate`,
    );
  });
}

/**
 * The option `tls.minVersion`. Runtimes take some values that are no version for one
 * of their choice.
 *
 * @throws {TypeError} if it is not a version
 */
export function minVersionOf(version: TlsVersion = "TLSv1.2"): TlsVersion {
  if (version === "TLSv1.2" || version === "TLSv1.3") return version;
  throw new TypeError(
    `Cannot use option "tls.minVersion": "${
      String(version)
    }" is not "TLSv1.2" or "TLSv1.3"`,
  );
}

/**
 * The host of option `tls.serverName`, in its form of ASCII and without a dot at its
 * end. If a name has other letters, Deno would send no name to the server, and Node and
 * Bun would send bytes that servers need not understand.
 *
 * @throws {TypeError} if the option is not a host
 */
export function serverNameOf(text: string): string {
  const host = typeof text === "string" ? hostOf(text) : undefined;
  if (host) return host;
  throw new TypeError(
    `Cannot use option "tls.serverName": "${
      String(text)
    }" is not the name of a host`,
  );
}

function hostOf(text: string): string | undefined {
  // What is not part of the host would be lost in parsing.
  if (/[/?#@\\\s]/.test(text)) return undefined;
  return text.includes(":") ? ipv6Of(text) : nameOf(text)?.replace(/\.$/, "");
}
