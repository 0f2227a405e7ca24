/**
 * What an attack works with in the attacker's process.
 *
 * @module
 */
import type { Peer, PeerOptions } from "../../mod.ts";
import { framed, utf8, values } from "../support/wire.ts";
import type { Attack, Check, Findings, Place } from "./attack.ts";
import { type Codec, type Library, loadCodec, loadLibrary } from "./library.ts";
import { aborted, Line, type LineOptions, type LineState } from "./line.ts";
import { QuicLine } from "./quic_line.ts";
import { RawSession } from "./raw_session.ts";

/** The default of version 0.1.0, which does not export it. */
const DEFAULT_VALUE_SIZE = 16 * 1024 * 1024;

/** The server to attack, and for how long. */
export interface Target extends Place {
  directory: string;
  ms: number;
}

/** A connection of an attack, as its report counts it. */
interface Counted {
  readonly state: LineState;
  /** Bytes written so far. */
  readonly sent: number;
  close(): Promise<void>;
}

/** A running attack. */
export class Attacker {
  readonly address: string;
  /** What to trust the server by. */
  readonly pin: string | undefined;
  readonly ms: number;
  /** The library of the server's checkout, for honest clients. */
  readonly library: Library;
  readonly codec: Codec;
  /** Aborts when the time is over. */
  readonly signal: AbortSignal;
  readonly #lines: Counted[] = [];
  readonly #peers: Peer[] = [];
  readonly #checks: Check[] = [];
  #expected: string[] | undefined;

  private constructor(target: Target, library: Library, codec: Codec) {
    this.address = target.address;
    this.pin = target.pin;
    this.ms = target.ms;
    this.library = library;
    this.codec = codec;
    this.signal = AbortSignal.timeout(target.ms);
  }

  /** Prepares an attack. */
  static async prepare(target: Target, { setup }: Attack): Promise<Attacker> {
    return new Attacker(
      target,
      await loadLibrary(target.directory),
      await loadCodec(target.directory, setup?.codec ?? "json"),
    );
  }

  /** Bytes that one value may have at the server. */
  get maxValueSize(): number {
    return this.library.DEFAULT_PEER_LIMITS?.maxValueSize ??
      DEFAULT_VALUE_SIZE;
  }

  /** A raw connection. */
  async line(options?: LineOptions): Promise<Line> {
    const line = await Line.connect(this.address, options);
    this.#lines.push(line);
    return line;
  }

  /** A connection of QUIC, by default in this package's own dialect. */
  async quic(protocol?: string): Promise<QuicLine> {
    const line = await QuicLine.connect(this, protocol);
    this.#lines.push(line);
    return line;
  }

  /** Channels over a raw connection. */
  async session(): Promise<RawSession> {
    return new RawSession(await this.line());
  }

  /** An honest client. */
  async dial(options: PeerOptions = {}): Promise<Peer> {
    const peer = await this.library.dial(this.address, {
      codec: this.codec,
      ...(this.pin !== undefined && { tls: { pin: this.pin } }),
      ...options,
    });
    peer.closed.catch(() => {});
    this.#peers.push(peer);
    return peer;
  }

  /** A call's header, with its length in front of it. */
  header(selector: string): Uint8Array {
    return framed(this.codec.encode({ Selector: selector }));
  }

  /** A whole call: header and arguments. */
  call(selector: string, ...args: unknown[]): Uint8Array {
    return values({ Selector: selector }, args);
  }

  /** Records an expectation, and what was seen if it is not met. */
  check(what: string, holds: boolean, saw?: unknown): void {
    const check: Check = { what, holds };
    if (!holds && saw !== undefined) check.saw = printable(String(saw));
    this.#checks.push(check);
  }

  /** Sets the exact list of errors that the server must report. */
  expectErrors(codes: string[]): void {
    this.#expected = codes;
  }

  /** Waits for a promise, at most until the time is over. */
  async orTimeout<T>(promise: Promise<T>): Promise<T | undefined> {
    const { promise: over, resolve } = Promise.withResolvers<undefined>();
    const onAbort = () => resolve(undefined);
    this.signal.addEventListener("abort", onAbort, { once: true });
    if (this.signal.aborted) onAbort();
    try {
      return await Promise.race([promise, over]);
    } finally {
      this.signal.removeEventListener("abort", onAbort);
    }
  }

  /**
   * Writes what `next` returns until the time is over. If the session is cut off
   * earlier, waits for the rest of the time, so that all rows cover the same.
   */
  async flood(line: Line, next: () => Uint8Array): Promise<void> {
    await line.flood(next, this.signal);
    await aborted(this.signal);
  }

  /** The report of the attack so far. */
  findings(): Findings {
    const lines: Record<string, number> = {};
    let sent = 0;
    for (const line of this.#lines) {
      lines[line.state] = (lines[line.state] ?? 0) + 1;
      sent += line.sent;
    }
    const made: Findings = { sent, lines, checks: this.#checks };
    if (this.#expected !== undefined) made.expectedErrors = this.#expected;
    return made;
  }

  /** Closes the connection. */
  async leave(): Promise<void> {
    await Promise.all(this.#lines.map((line) => line.close()));
    await Promise.all(this.#peers.map((peer) => peer.close()));
  }
}

/** A JSON list of one item repeated up to a size, after its length. */
export function repeatedJson(
  size: number,
  { begin = "[", item, end = "]" }: {
    begin?: string;
    item: string;
    end?: string;
  },
): Uint8Array {
  const count = Math.floor(
    (size - begin.length - end.length + 1) / (item.length + 1),
  );
  const text = begin + `${item},`.repeat(count).slice(0, -1) + end;
  return framed(utf8(text));
}

/** The first part of a text, without control characters. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- it removes control characters
  return text.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, "").slice(0, 200);
}
