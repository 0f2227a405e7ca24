/**
 * Certificates for tests, made when they are needed.
 *
 * @module
 */
import "npm:reflect-metadata@^0.2";
import * as x509 from "npm:@peculiar/x509@^1.14";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const HOUR = 3_600_000;

/** A certificate and its key, as PEM text. */
export interface Credentials {
  readonly cert: string;
  readonly key: string;
  /** The SHA-256 hash of the certificate, as Node writes it. */
  readonly fingerprint: string;
}

/** What a certificate is to say. */
export interface CertificateOptions {
  /** DNS names; one that looks like an address is one. Default: none. */
  names?: string[];
  /** When its time begins, in hours from now. Default: -1. */
  from?: number;
  /** When its time ends, in hours from now. Default: 1. */
  until?: number;
}

/** Issues certificates. */
export interface Authority extends Credentials {
  issue(subject: string, options?: CertificateOptions): Promise<Credentials>;
  /** Makes an authority that this one has certified. */
  issueAuthority(name: string): Promise<Authority>;
}

/** Makes an authority. */
export async function makeAuthority(name: string): Promise<Authority> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    ...time({}),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: extensionsOfAuthority(),
  });
  return await authorityOf(certificate, keys);
}

async function authorityOf(
  certificate: x509.X509Certificate,
  keys: CryptoKeyPair,
): Promise<Authority> {
  const certify = (
    subject: string,
    publicKey: CryptoKey,
    options: CertificateOptions,
    extensions: x509.Extension[],
  ) =>
    x509.X509CertificateGenerator.create({
      subject,
      issuer: certificate.subject,
      ...time(options),
      publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions,
    });
  return {
    ...await credentials(certificate, keys),
    async issue(subject, options = {}) {
      const own = await generateKeys();
      const issued = await certify(subject, own.publicKey, options, [
        new x509.BasicConstraintsExtension(false),
        new x509.SubjectAlternativeNameExtension(
          (options.names ?? []).map((value) => ({
            type: /^[\d.]+$|:/.test(value) ? "ip" as const : "dns" as const,
            value,
          })),
        ),
      ]);
      return await credentials(issued, own);
    },
    async issueAuthority(name) {
      const own = await generateKeys();
      const extensions = extensionsOfAuthority();
      return await authorityOf(
        await certify(`CN=${name}`, own.publicKey, {}, extensions),
        own,
      );
    },
  };
}

function extensionsOfAuthority(): x509.Extension[] {
  return [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
  ];
}

function generateKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function time({ from = -1, until = 1 }: CertificateOptions) {
  const now = Date.now();
  return {
    serialNumber: crypto.randomUUID().replaceAll("-", "").slice(1),
    notBefore: new Date(now + from * HOUR),
    notAfter: new Date(now + until * HOUR),
  };
}

async function credentials(
  certificate: x509.X509Certificate,
  keys: CryptoKeyPair,
): Promise<Credentials> {
  const exported = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  const hash = await certificate.getThumbprint("SHA-256");
  return {
    cert: certificate.toString("pem"),
    key: x509.PemConverter.encode(exported, "PRIVATE KEY"),
    fingerprint: [...new Uint8Array(hash)]
      .map((byte) => byte.toString(16).padStart(2, "0").toUpperCase())
      .join(":"),
  };
}
