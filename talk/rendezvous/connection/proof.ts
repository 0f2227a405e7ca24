/**
 * How a dialing peer proves its key to the listening one, inside a connection whose
 * listening end the fingerprint has already authenticated: SPEC.md, "Proof".
 *
 * @module
 */
import { fromHex, toHex } from "../../../hex.ts";
import type { PeerCertificate, Transport } from "../../../mux/internal.ts";
import { readUint32, writeUint32 } from "../../../uint32.ts";
import { concat } from "../../../view.ts";
import { TlsError } from "../../../mux/internal.ts";
import { RendezvousError } from "../errors.ts";
import {
  checkProof,
  type Identity,
  MAX_CERTIFICATE_SIZE,
  MAX_SIGNATURE_SIZE,
  newNonce,
} from "../identity.ts";

/** The version, which a dialing peer sends first. */
const VERSION = 1;
/** Bytes of the longest message. */
const MAX_MESSAGE = MAX_CERTIFICATE_SIZE + MAX_SIGNATURE_SIZE + 2;

/** Reads and writes messages on a byte stream. */
export class Messages {
  readonly #transport: Pick<Transport, "read" | "write">;
  #held: Uint8Array = new Uint8Array(0);

  /** Uses a byte stream for as long as there are messages on it. */
  constructor(transport: Pick<Transport, "read" | "write">) {
    this.#transport = transport;
  }

  /** What has arrived after the last message. */
  get rest(): Uint8Array {
    return this.#held;
  }

  /** Writes a message. */
  async write(message: Uint8Array): Promise<void> {
    const bytes = new Uint8Array(4 + message.length);
    writeUint32(bytes, 0, message.length);
    bytes.set(message, 4);
    await this.#transport.write(bytes);
  }

  /**
   * Reads a message.
   *
   * @throws {RendezvousError} `bad-proof` if there is none, or it is too long
   */
  async read(): Promise<Uint8Array> {
    while (this.#held.length < 4) await this.#more();
    const size = readUint32(this.#held, 0);
    if (size > MAX_MESSAGE) throw malformed();
    while (this.#held.length < 4 + size) await this.#more();
    const message = this.#held.slice(4, 4 + size);
    this.#held = this.#held.slice(4 + size);
    return message;
  }

  async #more(): Promise<void> {
    const chunk = await this.#transport.read();
    if (chunk === null) throw malformed();
    this.#held = concat(this.#held, chunk);
  }
}

/**
 * Proves the key of a dialing peer.
 *
 * @param fingerprint the certificate that the listening peer has shown
 * @throws {TlsError} `wrong-client-certificate` if the listening peer does not trust
 * it
 */
export async function prove(
  messages: Messages,
  identity: Identity,
  fingerprint: string,
): Promise<void> {
  await messages.write(Uint8Array.of(VERSION));
  const nonce = toHex(await messages.read());
  const signature = identity.prove({
    purpose: "client",
    subject: fingerprint,
    nonce,
  });
  const { certificate } = identity;
  const { length } = certificate;
  const size = Uint8Array.of(length >> 8, length & 0xff);
  await messages.write(concat(size, certificate, signature));
  const [verdict] = await messages.read();
  if (verdict === 1) return;
  throw new TlsError(
    "wrong-client-certificate",
    "the other peer does not trust the certificate of this one",
  );
}

/**
 * Has a dialing peer prove its key.
 *
 * @param fingerprint the certificate of this side
 * @param pins the fingerprints that are trusted; undefined for all
 * @throws {RendezvousError} `bad-proof`
 * @throws {TlsError} `wrong-client-certificate` if it is not trusted
 */
export async function demandProof(
  messages: Messages,
  fingerprint: string,
  pins: readonly string[] | undefined,
): Promise<PeerCertificate> {
  const [version] = await messages.read();
  if (version !== VERSION) throw malformed();
  const nonce = newNonce();
  await messages.write(fromHex(nonce));
  const proof = await messages.read();
  const size = proof[0]! << 8 | proof[1]!;
  if (!(size + 2 < proof.length)) throw malformed();
  const certificate = checkProof(
    proof.subarray(2, 2 + size),
    { purpose: "client", subject: fingerprint, nonce },
    proof.subarray(2 + size),
  );
  const isTrusted = pins?.includes(certificate.fingerprint) ?? true;
  await messages.write(Uint8Array.of(isTrusted ? 1 : 0));
  if (isTrusted) return certificate;
  throw new TlsError(
    "wrong-client-certificate",
    `the certificate of the peer is not one of option "tls.pin": its fingerprint is "${certificate.fingerprint}"`,
  );
}

function malformed(): RendezvousError {
  return new RendezvousError("bad-proof", "the proof of the peer is malformed");
}
