/** A certificate and its key, as PEM text. */
export interface Credentials {
  readonly cert: string;
  readonly key: string;
}

/** What a new certificate is to say. */
export interface CertificateRequest {
  /** What it is for. */
  readonly role: "ca" | "server" | "client" | "peer";
  /** Its common name; for a server, its names and addresses, at least one. */
  readonly names: readonly [string, ...string[]];
  /** When it expires; at the latest with that of its authority. */
  readonly until: Date;
  /** The authority that issues it; undefined for one that signs its own. */
  readonly authority: Credentials | undefined;
}

/** A new certificate. */
export interface Made extends Credentials {
  /** Its SHA-256 hash, as `--pin` takes it. */
  readonly fingerprint: string;
  /** When it expires. */
  readonly until: Date;
}

/** Makes a key and a certificate. */
export type MakeCertificate = (request: CertificateRequest) => Promise<Made>;

/** The credentials of an authority cannot be used. */
export class AuthorityError extends Error {
  /** Always `"AuthorityError"`. */
  override readonly name = "AuthorityError";
}
