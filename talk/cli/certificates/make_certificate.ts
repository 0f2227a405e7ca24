/**
 * Makes certificates with a library of npm. Only `qtalk cert` loads this module.
 *
 * @module
 */
// The library needs it, and does not import it.
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { isIP } from "node:net";
import {
  AuthorityError,
  type CertificateRequest,
  type Credentials,
  type Made,
} from "./types.ts";

/** What every implementation of TLS knows. */
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
/** Milliseconds that a clock may be slow by. */
const SKEW = 3_600_000;

/** An authority that has been read. */
interface Authority {
  readonly certificate: X509Certificate;
  readonly key: CryptoKey;
}

/**
 * Makes a key and a certificate for it.
 *
 * @throws {AuthorityError} if the authority cannot issue certificates
 */
export async function makeCertificate(
  { role, names, until, authority }: CertificateRequest,
): Promise<Made> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, [
    "sign",
    "verify",
  ]);
  const issuer = authority && await readAuthority(authority);
  // Not parsed from text, in which commas and "#" have a meaning.
  const subject = new Name([{ CN: [{ utf8String: names[0] }] }]);
  const limit = issuer?.certificate.notAfter ?? until;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer: issuer?.certificate.subjectName ?? subject,
    notBefore: new Date(Date.now() - SKEW),
    notAfter: until < limit ? until : limit,
    publicKey: keys.publicKey,
    signingKey: issuer?.key ?? keys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      ...extensionsFor(role, names),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(
        issuer?.certificate.publicKey ?? keys.publicKey,
      ),
    ],
  });
  if (issuer !== undefined) {
    const { publicKey } = issuer.certificate;
    if (!await certificate.verify({ publicKey, signatureOnly: true })) {
      throw new AuthorityError("the key does not belong to the certificate");
    }
  }
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  const hash = new Uint8Array(await certificate.getThumbprint("SHA-256"));
  return {
    cert: `${certificate.toString("pem")}\n`,
    key: `${PemConverter.encode(key, "PRIVATE KEY")}\n`,
    fingerprint: `sha256:${hash.toHex()}`,
    until: certificate.notAfter,
  };
}

function extensionsFor(
  role: CertificateRequest["role"],
  names: readonly string[],
): Extension[] {
  if (role === "ca") {
    const usages = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
    return [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(usages, true),
    ];
  }
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([
      ...role !== "client" ? [ExtendedKeyUsage.serverAuth] : [],
      ...role !== "server" ? [ExtendedKeyUsage.clientAuth] : [],
    ]),
  ];
  if (role === "server") {
    const alternatives = names.map((value) => ({
      type: isIP(value) === 0 ? "dns" as const : "ip" as const,
      value,
    }));
    extensions.push(new SubjectAlternativeNameExtension(alternatives));
  }
  return extensions;
}

/** No error has the text of the library: it may quote the key. */
async function readAuthority({ cert, key }: Credentials): Promise<Authority> {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    throw new AuthorityError("it has no certificate in PEM");
  }
  if (!certificate.getExtension(BasicConstraintsExtension)?.ca) {
    throw new AuthorityError("the certificate does not belong to an authority");
  }
  if (certificate.notAfter < new Date()) {
    throw new AuthorityError("the certificate has expired");
  }
  try {
    const [encoded] = PemConverter.decode(key);
    return {
      certificate,
      key: await crypto.subtle.importKey("pkcs8", encoded!, ALGORITHM, false, [
        "sign",
      ]),
    };
  } catch {
    throw new AuthorityError("the key is not one of `qtalk cert ca`");
  }
}

/** A positive number of 127 bits, in hexadecimal digits. */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = bytes[0]! & 0x7f | 0x40;
  return bytes.toHex();
}
