/**
 * The key of a peer with its certificate, and the proofs that it makes. The
 * signatures and certificates are those of `node:crypto`.
 *
 * @module
 */
import { toHex } from "../../hex.ts";
import type { PeerCertificate, Pem } from "../../mux/internal.ts";
import {
  certificateOf,
  fingerprintOf,
  type NodeCertificate,
  readPem,
  requiredModule,
} from "../../mux/internal_deno.ts";
import { RendezvousError } from "./errors.ts";

/** The longest certificate that is checked, in bytes. */
export const MAX_CERTIFICATE_SIZE = 8_192;
/** The longest signature that is checked, in bytes. */
export const MAX_SIGNATURE_SIZE = 128;

/** What is used of a `crypto.KeyObject`. */
interface KeyObject {
  readonly asymmetricKeyType?: string;
  readonly asymmetricKeyDetails?: { namedCurve?: string };
}

/** What is used of a `crypto.X509Certificate`. */
interface Certificate {
  readonly raw: Uint8Array;
  readonly publicKey: KeyObject;
  /** Undefined if it is empty. */
  readonly subject?: string;
  readonly subjectAltName?: string;
  readonly fingerprint256: string;
  readonly validFrom: string;
  readonly validTo: string;
  checkPrivateKey(key: KeyObject): boolean;
}

/** What is used of `node:crypto`. */
interface CryptoModule {
  X509Certificate: new (data: Uint8Array | string) => Certificate;
  createPrivateKey(pem: string): KeyObject;
  sign(hash: string, data: Uint8Array, key: KeyObject): Uint8Array;
  verify(
    hash: string,
    data: Uint8Array,
    key: KeyObject,
    signature: Uint8Array,
  ): boolean;
}

/**
 * What a peer signs to prove that a key is its own. The proof is for one other side,
 * which has chosen `nonce` for it.
 */
export interface Statement {
  /** `client` proves to a listening peer, `register` to a rendezvous. */
  readonly purpose: "client" | "register";
  /**
   * The fingerprint of the listening peer; or the name to register, `@`, and what the
   * peer knows the rendezvous as.
   */
  readonly subject: string;
  /** What the other side has chosen, in hexadecimal digits. */
  readonly nonce: string;
}

/** The key of this side, and its certificate. */
export interface Identity {
  /** The certificate. */
  readonly certificate: Uint8Array;
  /** Its fingerprint: `sha256:` and 64 hexadecimal digits. */
  readonly fingerprint: string;
  /** Signs a statement. */
  prove(statement: Statement): Uint8Array;
}

/**
 * Reads a certificate and its key.
 *
 * @throws {TypeError} if they cannot be used
 */
export function loadIdentity(
  given: { cert?: Pem | undefined; key?: Pem | undefined } | undefined,
): Identity {
  if (given?.cert === undefined || given.key === undefined) {
    throw new TypeError(
      'the options "tls.cert" and "tls.key" are missing: a peer has a key, which `qtalk cert peer` makes',
    );
  }
  const crypto = cryptoModule();
  const cert = readPem(given.cert, "cert");
  const pem = readPem(given.key, "key");
  let certificate: Certificate;
  let key: KeyObject;
  try {
    certificate = new crypto.X509Certificate(cert);
  } catch (cause) {
    throw new TypeError('option "tls.cert" is not a certificate', { cause });
  }
  try {
    key = crypto.createPrivateKey(pem);
  } catch {
    // The text of the error may quote the key.
    throw new TypeError('option "tls.key" is not a private key');
  }
  if (!isUsable(certificate.publicKey)) {
    throw new TypeError(
      'the key of option "tls.cert" is not an ECDSA key on P-256',
    );
  }
  if (!certificate.checkPrivateKey(key)) {
    throw new TypeError('option "tls.key" is not that of "tls.cert"');
  }
  return {
    certificate: new Uint8Array(certificate.raw),
    fingerprint: fingerprintOf(certificate.fingerprint256)!,
    prove: (statement) =>
      new Uint8Array(crypto.sign("sha256", bytesOf(statement), key)),
  };
}

/**
 * Checks a proof, and returns the certificate of the peer that made it.
 *
 * @throws {RendezvousError} `bad-proof`
 */
export function checkProof(
  bytes: Uint8Array,
  statement: Statement,
  signature: Uint8Array,
): PeerCertificate {
  const crypto = cryptoModule();
  let certificate: Certificate;
  let isProved = false;
  try {
    certificate = new crypto.X509Certificate(bytes);
    isProved = isUsable(certificate.publicKey) &&
      crypto.verify(
        "sha256",
        bytesOf(statement),
        certificate.publicKey,
        signature,
      );
  } catch (cause) {
    throw new RendezvousError(
      "bad-proof",
      "the certificate of the peer cannot be read",
      { cause },
    );
  }
  if (!isProved) {
    throw new RendezvousError(
      "bad-proof",
      "the peer has not proved that the key of its certificate is its own",
    );
  }
  return described(certificate);
}

/**
 * Reads the certificate of a listener.
 *
 * @throws {TypeError} if it cannot be read
 */
export function readCertificate(cert: Pem): PeerCertificate {
  const { X509Certificate } = cryptoModule();
  return described(new X509Certificate(readPem(cert, "cert")));
}

function described(certificate: Certificate): PeerCertificate {
  const found: NodeCertificate = {
    fingerprint256: certificate.fingerprint256,
    subject: subjectOf(certificate.subject ?? ""),
    subjectaltname: certificate.subjectAltName ?? "",
    valid_from: certificate.validFrom,
    valid_to: certificate.validTo,
  };
  return certificateOf(found)!;
}

/** A fresh random number, in hexadecimal digits. */
export function newNonce(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(32)));
}

function cryptoModule(): CryptoModule {
  return requiredModule<CryptoModule>("node:crypto");
}

function isUsable(
  { asymmetricKeyType, asymmetricKeyDetails }: KeyObject,
): boolean {
  return asymmetricKeyType === "ec" &&
    /^(?:prime256v1|P-256|p256)$/.test(asymmetricKeyDetails?.namedCurve ?? "");
}

/** JSON keeps the parts apart, whatever they contain. */
function bytesOf({ purpose, subject, nonce }: Statement): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify(["qtalk peer", purpose, subject, nonce]),
  );
}

/** Parses the names of a subject, which has one per line. */
function subjectOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split("\n").filter((line) => line.includes("=")).map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}
