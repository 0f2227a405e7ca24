import { type Credentials, makeAuthority } from "./certificates.ts";

/** The key of a peer for tests, and its fingerprint as addresses have it. */
export interface TestIdentity {
  readonly cert: string;
  readonly key: string;
  readonly fingerprint: string;
}

/** Makes a key of a peer. */
export async function makeIdentity(name: string): Promise<TestIdentity> {
  return asIdentity(await (await makeAuthority(name)).issue(`CN=${name}`));
}

function asIdentity({ cert, key, fingerprint }: Credentials): TestIdentity {
  const digits = fingerprint.replaceAll(":", "").toLowerCase();
  return { cert, key, fingerprint: `sha256:${digits}` };
}
