/**
 * The layout of the messages of the handshake (SPEC.md, "Handshake").
 *
 * @module
 */
import { readUint32, writeUint32 } from "../../../uint32.ts";

/** What each message begins with, except FINISH: `qtalkR`, between two numbers. */
export const MAGIC = new Uint8Array([
  0xc7,
  0x71,
  0x74,
  0x61,
  0x6c,
  0x6b,
  0x52,
  0x01,
]);

/** Bytes of the parts. */
export const PART = {
  nonce: 32,
  id: 16,
  publicKey: 65,
  proof: 32,
} as const;

/** The types of messages. */
export const TYPE = {
  helloNew: 1,
  helloResume: 2,
  answerNew: 3,
  answerResume: 4,
  refused: 5,
} as const;

/** Bytes of each message, with the magic. */
export const SIZE = {
  helloNew: 110,
  helloResume: 61,
  answerNew: 158,
  answerResume: 81,
  refused: 9,
  finish: 40,
} as const;

/** Bytes of a message up to its type. */
export const HEAD_SIZE: number = MAGIC.length + 1;

/** Bytes that belong to one buffer each. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Begins a message: the magic and the type. */
function begin(size: number, type: number): Bytes {
  const bytes = new Uint8Array(size);
  bytes.set(MAGIC);
  bytes[MAGIC.length] = type;
  return bytes;
}

/** Whether a message begins with the magic. */
export function hasMagic(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, i) => bytes[i] === byte);
}

/** Writes a number below 2^53. */
export function writeUint64(
  bytes: Uint8Array,
  at: number,
  value: number,
): void {
  writeUint32(bytes, at, Math.floor(value / 2 ** 32));
  writeUint32(bytes, at + 4, value >>> 0);
}

/** Reads a number; one of 2^53 or more loses digits, and is refused as too high. */
export function readUint64(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at) * 2 ** 32 + readUint32(bytes, at + 4);
}

/** The content of HELLO_NEW. */
export interface HelloNew {
  readonly limit: number;
  readonly nonce: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Encodes HELLO_NEW. */
export function encodeHelloNew(it: HelloNew): Bytes {
  const bytes = begin(SIZE.helloNew, TYPE.helloNew);
  writeUint32(bytes, 9, it.limit);
  bytes.set(it.nonce, 13);
  bytes.set(it.publicKey, 45);
  return bytes;
}

/** Decodes HELLO_NEW. */
export function decodeHelloNew(bytes: Bytes): HelloNew {
  return {
    limit: readUint32(bytes, 9),
    nonce: bytes.subarray(13, 45),
    publicKey: bytes.subarray(45, 110),
  };
}

/** The content of HELLO_RESUME. */
export interface HelloResume {
  readonly attempt: number;
  readonly nonce: Uint8Array;
  readonly id: Uint8Array;
}

/** Encodes HELLO_RESUME. */
export function encodeHelloResume(it: HelloResume): Bytes {
  const bytes = begin(SIZE.helloResume, TYPE.helloResume);
  writeUint32(bytes, 9, it.attempt);
  bytes.set(it.nonce, 13);
  bytes.set(it.id, 45);
  return bytes;
}

/** Decodes HELLO_RESUME. */
export function decodeHelloResume(bytes: Bytes): HelloResume {
  return {
    attempt: readUint32(bytes, 9),
    nonce: bytes.subarray(13, 45),
    id: bytes.subarray(45, 61),
  };
}

/** The content of ANSWER_NEW, without its proof. */
export interface AnswerNew {
  readonly limit: number;
  readonly nonce: Uint8Array;
  readonly id: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Encodes ANSWER_NEW, with room for its proof. */
export function encodeAnswerNew(it: AnswerNew): Bytes {
  const bytes = begin(SIZE.answerNew, TYPE.answerNew);
  writeUint32(bytes, 9, it.limit);
  bytes.set(it.nonce, 13);
  bytes.set(it.id, 45);
  bytes.set(it.publicKey, 61);
  return bytes;
}

/** Decodes ANSWER_NEW. */
export function decodeAnswerNew(bytes: Bytes): AnswerNew {
  return {
    limit: readUint32(bytes, 9),
    nonce: bytes.subarray(13, 45),
    id: bytes.slice(45, 61),
    publicKey: bytes.subarray(61, 126),
  };
}

/** The content of ANSWER_RESUME, without its proof. */
export interface AnswerResume {
  readonly received: number;
  readonly nonce: Uint8Array;
}

/** Encodes ANSWER_RESUME, with room for its proof. */
export function encodeAnswerResume(it: AnswerResume): Bytes {
  const bytes = begin(SIZE.answerResume, TYPE.answerResume);
  writeUint64(bytes, 9, it.received);
  bytes.set(it.nonce, 17);
  return bytes;
}

/** Decodes ANSWER_RESUME. */
export function decodeAnswerResume(bytes: Bytes): AnswerResume {
  return { received: readUint64(bytes, 9), nonce: bytes.subarray(17, 49) };
}

/** Encodes REFUSED. */
export function encodeRefused(): Bytes {
  return begin(SIZE.refused, TYPE.refused);
}

/** Encodes FINISH, with room for its proof. */
export function encodeFinish(received: number): Bytes {
  const bytes = new Uint8Array(SIZE.finish);
  writeUint64(bytes, 0, received);
  return bytes;
}

/** The offset in FINISH. */
export function receivedOf(finish: Bytes): number {
  return readUint64(finish, 0);
}

/** A message without the proof at its end. */
export function withoutProof(bytes: Bytes): Bytes {
  return bytes.subarray(0, bytes.length - PART.proof);
}

/** The proof at the end of a message. */
export function proofOf(bytes: Bytes): Bytes {
  return bytes.subarray(bytes.length - PART.proof);
}
