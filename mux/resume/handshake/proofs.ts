/**
 * The secret of a session, and the proofs that an end knows it (SPEC.md, "Proofs").
 *
 * @module
 */
import { concat } from "../../../view.ts";
import { type Bytes, PART } from "./messages.ts";

const CURVE = { name: "ECDH", namedCurve: "P-256" } as const;
const HMAC = { name: "HMAC", hash: "SHA-256", length: 256 } as const;
const INFO = new TextEncoder().encode("qtalk resume");

/** Which end makes a proof. */
const ROLE = { listener: 1, dialer: 2 } as const;

/** A random number that is used once, or the ID of a session. */
export function random(size: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(size));
}

/** A pair of keys for one session. */
export interface KeyPair {
  /** As it is sent. */
  readonly publicKey: Bytes;
  /** Never leaves this side. */
  readonly privateKey: CryptoKey;
}

/** Makes a pair of keys. */
export async function makeKeys(): Promise<KeyPair> {
  const { publicKey, privateKey } = await crypto.subtle.generateKey(
    CURVE,
    false,
    ["deriveBits"],
  );
  const raw = await crypto.subtle.exportKey("raw", publicKey);
  return { publicKey: new Uint8Array(raw), privateKey };
}

/**
 * The key of a session: both ends can derive it, and an eavesdropper cannot.
 *
 * @param privateKey that of this side
 * @param publicKey that of the other side, as it came
 * @param messages what both sides have said
 * @throws {Error} if the public key is not a point of the curve
 */
export async function sessionKey(
  privateKey: CryptoKey,
  publicKey: Uint8Array,
  messages: readonly Uint8Array[],
): Promise<CryptoKey> {
  const { subtle } = crypto;
  const point = new Uint8Array(publicKey);
  const theirs = await subtle.importKey("raw", point, CURVE, false, []);
  const shared = await subtle.deriveBits(
    { name: "ECDH", public: theirs },
    privateKey,
    256,
  );
  const salt = await subtle.digest("SHA-256", concat(...messages));
  const secret = await subtle.importKey("raw", shared, "HKDF", false, [
    "deriveKey",
  ]);
  return await subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt, info: INFO },
    secret,
    HMAC,
    false,
    ["sign", "verify"],
  );
}

/** Writes the proof of one end to the end of the last message. */
export async function prove(
  key: CryptoKey,
  by: keyof typeof ROLE,
  messages: readonly Bytes[],
): Promise<void> {
  const last = messages.at(-1)!;
  const proof = await crypto.subtle.sign("HMAC", key, said(by, messages));
  last.set(new Uint8Array(proof), last.length - PART.proof);
}

/**
 * Whether the proof at the end of the last message is right. WebCrypto compares in
 * constant time.
 */
export async function isProved(
  key: CryptoKey,
  by: keyof typeof ROLE,
  messages: readonly Bytes[],
): Promise<boolean> {
  const last = messages.at(-1)!;
  const proof = last.slice(last.length - PART.proof);
  return await crypto.subtle.verify("HMAC", key, proof, said(by, messages));
}

/** What a proof is about: all messages, the last one without its proof. */
function said(by: keyof typeof ROLE, messages: readonly Bytes[]): Bytes {
  const whole = concat(Uint8Array.of(ROLE[by]), ...messages);
  return whole.subarray(0, whole.length - PART.proof);
}
