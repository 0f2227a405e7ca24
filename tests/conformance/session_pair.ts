/**
 * Two sessions that talk to each other, over whatever a factory puts between
 * them, and what the tests of the suite share.
 *
 * @module
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { MuxError, type MuxErrorCode } from "../../mux/errors.ts";
import type { SessionOptions } from "../../mux/options.ts";
import type { Channel, Session } from "../../mux/types.ts";
import { concat, text, utf8 } from "../support/wire.ts";

/** Two sessions, each the other's peer. */
export interface SessionPair {
  /** The session that dialled. */
  a: Session;
  /** The session that was dialled. */
  b: Session;
  /** Ends what stands behind them, such as a listener or a process. */
  close(): void | Promise<void>;
}

/** Limits of either session. */
export interface PairOptions {
  /** Limits of `a`. */
  a?: SessionOptions;
  /** Limits of `b`. */
  b?: SessionOptions;
}

/** Makes a new pair for each test. */
export type MakePair = (options: PairOptions) => Promise<SessionPair>;

/** What a test is given. */
export class Lab {
  readonly a: Session;
  readonly b: Session;
  #incoming: AsyncIterator<Channel> | undefined;
  #control: { a: Pipe; b: Pipe } | undefined;

  /** Sets up around a pair. */
  constructor({ a, b }: SessionPair) {
    this.a = a;
    this.b = b;
  }

  /** Opens a channel from `a`, which `b` accepts: both ends of it. */
  async open(): Promise<[Channel, Channel]> {
    const [there, here] = await Promise.all([this.a.open(), this.accept()]);
    return [there, here];
  }

  /** The next channel that comes in at `b`. */
  async accept(): Promise<Channel> {
    this.#incoming ??= this.b[Symbol.asyncIterator]();
    const { value, done } = await this.#incoming.next();
    assert(!done, "the session ended before a channel came");
    return value;
  }

  /**
   * Resolves when all that either side has put on the wire before has arrived
   * at the other: frames do not overtake each other.
   */
  async sync(): Promise<void> {
    if (this.#control === undefined) {
      const [there, here] = await this.open();
      this.#control = { a: new Pipe(there), b: new Pipe(here) };
    }
    const { a, b } = this.#control;
    const byte = Uint8Array.of(0);
    await a.write(byte);
    await b.read(1);
    await b.write(byte);
    await a.read(1);
  }
}

/** A channel with its reader and writer taken. */
export class Pipe {
  readonly channel: Channel;
  readonly reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly writer: WritableStreamDefaultWriter<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  /** Takes both locks. */
  constructor(channel: Channel) {
    this.channel = channel;
    this.reader = channel.readable.getReader();
    this.writer = channel.writable.getWriter();
  }

  /** Writes bytes or text. */
  write(chunk: Uint8Array | string): Promise<void> {
    return this.writer.write(typeof chunk === "string" ? utf8(chunk) : chunk);
  }

  /** Reads exactly that many bytes. */
  async read(size: number): Promise<Uint8Array> {
    while (this.#rest.length < size) {
      const { done, value } = await this.reader.read();
      assert(!done, `the end came after ${this.#rest.length} of ${size} bytes`);
      this.#rest = concat(this.#rest, value);
    }
    const bytes = this.#rest.subarray(0, size);
    this.#rest = this.#rest.subarray(size);
    return bytes;
  }

  /** Reads text up to the end; an error is told with what came before it. */
  async rest(): Promise<{ text: string; error: unknown }> {
    const chunks = [this.#rest];
    try {
      for (;;) {
        const { done, value } = await this.reader.read();
        if (done) return { text: text(concat(...chunks)), error: undefined };
        chunks.push(value);
      }
    } catch (error) {
      return { text: text(concat(...chunks)), error };
    }
  }
}

/** Both ends of a new channel, readers and writers taken. */
export async function openPipes(lab: Lab): Promise<[Pipe, Pipe]> {
  const [there, here] = await lab.open();
  return [new Pipe(there), new Pipe(here)];
}

/** The reason why `promise` rejects, which it must. */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  const resolved = Symbol();
  const outcome = await promise.then(() => resolved, (error) => error);
  assert(outcome !== resolved, "it resolved");
  return outcome;
}

/** Checks that `error` is the mux's, with this code. */
export function assertCode(error: unknown, code: MuxErrorCode): void {
  assertInstanceOf(error, MuxError);
  assertEquals(error.code, code, error.message);
}

/** Checks that `promise` rejects with the mux's error of this code. */
export async function assertFails(
  promise: Promise<unknown>,
  code: MuxErrorCode,
): Promise<void> {
  assertCode(await failure(promise), code);
}

/** Takes one behaviour into the suite. */
export type SessionTest = (
  behaviour: string,
  body: (lab: Lab) => Promise<void>,
  options?: PairOptions,
) => void;
