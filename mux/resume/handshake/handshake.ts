/**
 * The handshake, as each end makes it (SPEC.md, "Handshake").
 *
 * @module
 */
import { concat } from "../../../view.ts";
import type { TlsError } from "../../errors.ts";
import { describeBytes, tlsIn } from "../../wire/foreign_bytes.ts";
import type { Transport } from "../../types.ts";
import { HandshakeError } from "../errors.ts";
import { Incoming } from "./incoming.ts";
import {
  type Bytes,
  decodeAnswerNew,
  decodeAnswerResume,
  decodeHelloNew,
  decodeHelloResume,
  encodeAnswerNew,
  encodeAnswerResume,
  encodeFinish,
  encodeHelloNew,
  encodeHelloResume,
  encodeRefused,
  hasMagic,
  HEAD_SIZE,
  MAGIC,
  PART,
  receivedOf,
  SIZE,
  TYPE,
  withoutProof,
} from "./messages.ts";
import { ACK_SIZE, encodeAck, RECORD } from "../records.ts";
import { isProved, makeKeys, prove, random, sessionKey } from "./proofs.ts";

/** What an end knows about a session. */
export interface SessionSecret {
  /** The ID that the listener chose. */
  readonly id: Uint8Array;
  /** The key for proofs. */
  readonly key: CryptoKey;
}

/** A connection after its handshake. */
export interface Established {
  /** The connection, with what was read of the records. */
  readonly incoming: Incoming;
  /** The offset up to which the other end has everything. */
  readonly peerReceived: number;
  /** The offset up to which this end has said that it has. */
  readonly stated: number;
  /**
   * The write of this end's last message: a transport in memory ends a write when the
   * other end reads again.
   */
  readonly writing: Promise<void>;
}

/** A session that has begun. */
export interface Started extends Established, SessionSecret {
  /** The most bytes that the other end keeps. */
  readonly peerLimit: number;
}

/** What the dialer says about the session that it continues. */
export interface Continued extends SessionSecret {
  /** Greater than any before. */
  readonly attempt: number;
  /** The offset up to which it has everything. */
  readonly received: number;
}

/** The other end has refused to continue a session. */
export class Refusal extends Error {}

/**
 * Begins a session, as its dialer.
 *
 * @throws {HandshakeError} if the other end does not take part
 * @throws {TlsError} if it speaks TLS
 */
export async function startSession(
  transport: Transport,
  limit: number,
): Promise<Started> {
  const incoming = new Incoming(transport);
  const { publicKey, privateKey } = await makeKeys();
  const nonce = random(PART.nonce);
  const hello = encodeHelloNew({ limit, nonce, publicKey });
  const helloWritten = transport.write(hello);
  const answer = await whileWriting(
    helloWritten,
    () => readAnswer(incoming, TYPE.answerNew, SIZE.answerNew),
  );
  await helloWritten;
  const { id, limit: peerLimit, publicKey: theirs } = decodeAnswerNew(answer);
  const messages = [hello, withoutProof(answer)];
  const key = await sessionKey(privateKey, theirs, messages);
  const { writing } = await finish(transport, key, [hello, answer], 0);
  // Until then, the other end may not know of the session: FINISH may be lost.
  const begun = await whileWriting(writing, () => incoming.exactly(ACK_SIZE));
  if (begun[0] !== RECORD.ack) throw notTakingPart(begun, incoming);
  return { incoming, id, key, peerLimit, peerReceived: 0, stated: 0, writing };
}

/**
 * Continues a session over another connection, as its dialer.
 *
 * @throws {Refusal} if the other end does not know the session
 * @throws {HandshakeError} if the other end does not take part
 * @throws {TlsError} if it speaks TLS
 */
export async function resumeSession(
  transport: Transport,
  { id, key, attempt, received }: Continued,
): Promise<Established> {
  const incoming = new Incoming(transport);
  const hello = encodeHelloResume({ attempt, nonce: random(PART.nonce), id });
  const helloWritten = transport.write(hello);
  const answer = await whileWriting(
    helloWritten,
    () => readAnswer(incoming, TYPE.answerResume, SIZE.answerResume),
  );
  await helloWritten;
  const { writing } = await finish(transport, key, [hello, answer], received);
  const { received: peerReceived } = decodeAnswerResume(answer);
  return { incoming, peerReceived, stated: received, writing };
}

/** A listener without the option takes the first bytes for an error, and ends. */
const UNANSWERED =
  'the other side ended the connection: its listener may lack the option "resume"';

async function readAnswer(
  incoming: Incoming,
  type: number,
  size: number,
): Promise<Bytes> {
  const first = await incoming.exactly(1, UNANSWERED);
  if (first[0] !== MAGIC[0]) throw notTakingPart(first, incoming);
  const rest = await incoming.exactly(HEAD_SIZE - 1);
  const head = concat(first, rest);
  if (!hasMagic(head)) throw notTakingPart(head, incoming);
  if (head[MAGIC.length] === TYPE.refused) {
    throw new Refusal("the other side does not know the session");
  }
  if (head[MAGIC.length] !== type) {
    throw new HandshakeError("the other side sent a message of another type");
  }
  return concat(head, await incoming.exactly(size - HEAD_SIZE));
}

/** The error for another end that answers with something else. */
function notTakingPart(
  read: Bytes,
  incoming: Incoming,
): HandshakeError | TlsError {
  const bytes = concat(read, incoming.quote());
  const message = `the other side does not resume sessions (option "resume"): ${
    describeBytes(bytes)
  }`;
  return tlsIn(bytes, message) ?? new HandshakeError(message);
}

/** Checks the proof of the listener, and sends that of the dialer. */
async function finish(
  transport: Transport,
  key: CryptoKey,
  messages: readonly [Bytes, Bytes],
  received: number,
): Promise<{ writing: Promise<void> }> {
  if (!await isProved(key, "listener", messages)) {
    throw new HandshakeError(
      "the other side did not prove that the session is its own",
    );
  }
  const last = encodeFinish(received);
  await prove(key, "dialer", [...messages, last]);
  const writing = transport.write(last);
  writing.catch(() => {});
  return { writing };
}

/** Reads while a write is in progress, and fails with it. */
async function whileWriting(
  writing: Promise<void>,
  read: () => Promise<Bytes>,
): Promise<Bytes> {
  const failed = new Promise<never>((_, reject) => writing.catch(reject));
  return await Promise.race([read(), failed]);
}

/** What a listener knows about its sessions. */
export interface KnownSessions {
  /** The most bytes that this end keeps for a new session. */
  readonly limit: number;
  /**
   * The session with an ID, and what it has received; undefined if there is none, or
   * if the attempt is not later than the last.
   */
  find(
    id: Uint8Array,
    attempt: number,
  ): { readonly key: CryptoKey; readonly received: number } | undefined;
}

/** What a dialer wants, and has proved. */
export type Answered =
  | { readonly kind: "new"; readonly session: Started }
  | {
    readonly kind: "resumed";
    readonly id: Uint8Array;
    readonly attempt: number;
    readonly connection: Established;
  };

/**
 * Answers a dialer whose first byte was that of a handshake.
 *
 * @throws {Refusal} if the dialer was refused, and got that answer
 * @throws {HandshakeError} if it does not take part
 */
export async function answerDialer(
  incoming: Incoming,
  sessions: KnownSessions,
): Promise<Answered> {
  const head = await incoming.exactly(HEAD_SIZE);
  const type = head[MAGIC.length];
  if (!hasMagic(head)) {
    throw new HandshakeError("the other side sent no handshake");
  }
  if (type === TYPE.helloNew) {
    const rest = await incoming.exactly(SIZE.helloNew - HEAD_SIZE);
    return await answerNew(incoming, concat(head, rest), sessions.limit);
  }
  if (type === TYPE.helloResume) {
    const rest = await incoming.exactly(SIZE.helloResume - HEAD_SIZE);
    return await answerResume(incoming, concat(head, rest), sessions);
  }
  throw new HandshakeError("the other side sent a message of another type");
}

async function answerNew(
  incoming: Incoming,
  hello: Bytes,
  limit: number,
): Promise<Answered> {
  const { limit: peerLimit, publicKey: theirs } = decodeHelloNew(hello);
  const { publicKey, privateKey } = await makeKeys();
  const id = random(PART.id);
  const nonce = random(PART.nonce);
  const answer = encodeAnswerNew({ limit, nonce, id, publicKey });
  let key: CryptoKey;
  try {
    key = await sessionKey(privateKey, theirs, [hello, withoutProof(answer)]);
  } catch (cause) {
    const message = "the other side sent a public key that is not valid";
    throw new HandshakeError(message, { cause });
  }
  const { peerReceived, writing } = await exchange(
    incoming,
    key,
    hello,
    answer,
  );
  if (peerReceived !== 0) throw await refuse(incoming);
  const session = {
    incoming,
    id,
    key,
    peerLimit,
    peerReceived,
    stated: 0,
    writing: writing.then(() =>
      incoming.transport.write(encodeAck(RECORD.ack, 0))
    ),
  };
  return { kind: "new", session };
}

async function answerResume(
  incoming: Incoming,
  hello: Bytes,
  sessions: KnownSessions,
): Promise<Answered> {
  const { id, attempt } = decodeHelloResume(hello);
  const session = sessions.find(id, attempt);
  if (session === undefined) throw await refuse(incoming);
  const { key, received } = session;
  const answer = encodeAnswerResume({ received, nonce: random(PART.nonce) });
  const proved = await exchange(incoming, key, hello, answer);
  const connection = { incoming, stated: received, ...proved };
  return { kind: "resumed", id, attempt, connection };
}

/** Sends the answer, with its proof, and checks that of the dialer. */
async function exchange(
  incoming: Incoming,
  key: CryptoKey,
  hello: Bytes,
  answer: Bytes,
): Promise<{ peerReceived: number; writing: Promise<void> }> {
  await prove(key, "listener", [hello, answer]);
  const writing = incoming.transport.write(answer);
  const last = await whileWriting(
    writing,
    () => incoming.exactly(SIZE.finish),
  );
  if (!await isProved(key, "dialer", [hello, answer, last])) {
    throw await refuse(incoming);
  }
  return { peerReceived: receivedOf(last), writing };
}

/** Tells a dialer that it is refused. */
export async function refuse(incoming: Incoming): Promise<Refusal> {
  await incoming.transport.write(encodeRefused());
  return new Refusal("the session is not known");
}
