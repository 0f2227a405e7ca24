/**
 * How the two halves of a tunnel show each other that they know the token, without
 * sending it: each computes an HMAC-SHA256, with the token as its key, over random
 * numbers of both, over which half it is, and over what it asks for or answers.
 *
 * What was recorded on the wire is of no use later, because the other half chooses
 * another random number each time, and none of use for the other role. It can be
 * used to try tokens, so a token must be too long to be guessed. The bytes that
 * follow are neither encrypted nor protected.
 *
 * @module
 */
import { toHex } from "../../../hex.ts";

/** What a proof is about. */
export interface Statement {
  /** Which half makes it. */
  readonly by: "publisher" | "server";
  /** The random number of the publisher. */
  readonly publisherNonce: string;
  /** The random number of the server. */
  readonly serverNonce: string;
  /** What is asked for or answered. */
  readonly content: readonly (string | number | boolean | null)[];
}

/** Makes a random number for one proof. */
export function nonce(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(32)));
}

/** Whether a value is what {@linkcode nonce} makes. */
export function isNonce(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

/** Proves knowledge of a token. */
export async function prove(
  token: string,
  statement: Statement,
): Promise<string> {
  const key = await keyOf(token);
  const bytes = await crypto.subtle.sign("HMAC", key, bytesOf(statement));
  return toHex(new Uint8Array(bytes));
}

/**
 * Whether `proof` was made with this token and this statement. WebCrypto compares
 * in constant time.
 */
export async function isProof(
  proof: unknown,
  token: string,
  statement: Statement,
): Promise<boolean> {
  if (typeof proof !== "string" || !/^[0-9a-f]{64}$/.test(proof)) return false;
  const bytes = Uint8Array.from(
    proof.match(/../g)!,
    (digits) => parseInt(digits, 16),
  );
  const key = await keyOf(token);
  return await crypto.subtle.verify("HMAC", key, bytes, bytesOf(statement));
}

function keyOf(token: string): Promise<CryptoKey> {
  return crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(token),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign", "verify"],
  );
}

/** JSON keeps the parts apart, whatever they contain. */
function bytesOf(statement: Statement): Uint8Array<ArrayBuffer> {
  const { by, publisherNonce, serverNonce, content } = statement;
  return new TextEncoder().encode(
    JSON.stringify(["qtalk tunnel", by, publisherNonce, serverNonce, content]),
  );
}
