/**
 * What tests of QUIC share: a certificate that this side trusts, and pairs of
 * connections.
 *
 * @module
 */
import {
  type Authority,
  type Credentials,
  makeAuthority,
} from "./certificates.ts";

/** An authority and a certificate for loopback, made once for each file. */
export interface LoopbackCertificate extends Credentials {
  readonly authority: Authority;
}

let made: Promise<LoopbackCertificate> | undefined;

/** The certificate of servers on loopback. */
export function loopbackCertificate(): Promise<LoopbackCertificate> {
  return made ??= make();
}

async function make(): Promise<LoopbackCertificate> {
  const authority = await makeAuthority("Authority of tests");
  const names = ["localhost", "127.0.0.1"];
  return { authority, ...await authority.issue("CN=localhost", { names }) };
}
