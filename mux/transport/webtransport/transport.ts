/**
 * A byte stream in each direction over a WebTransport session. mux/SPEC.md,
 * "WebTransport", specifies what the two ends send.
 *
 * @module
 */
import { printableText } from "../../../printable_text.ts";
import { settlesWithin, timeLimit } from "../../../time_limit.ts";
import { MuxError } from "../../errors.ts";
import type { AbortableTransport, KeptTransport } from "../types.ts";
import type {
  WebTransportCloseInfoLike,
  WebTransportLike,
  WebTransportStreamLike,
} from "./types.ts";

/**
 * The first byte of the stream: the peer does not see a stream before its first byte.
 */
export const OPENING = 0x21;
/** Says after how many bytes a direction ends. */
const END = 0x00;
/** Says that all bytes up to the end were read. */
const ALL_READ = 0x01;
/** Bytes of {@linkcode END} with its number. */
const END_SIZE = 9;
/** Milliseconds to wait for the peer to read everything, before the session is closed. */
const CLOSE_TIMEOUT = 1_000;
/** Milliseconds between the failure of a stream and the reason of its session. */
const REASON_TIMEOUT = 1_000;

/**
 * Makes a transport from a session and one of its streams. The transport owns both.
 *
 * @param session the session
 * @param stream the stream, whose opening byte was sent or read
 * @param early what was read of the stream after the opening byte
 */
export function webTransportTransport(
  session: WebTransportLike,
  stream: WebTransportStreamLike,
  early?: Uint8Array,
): AbortableTransport & KeptTransport {
  return new WebTransportTransport(session, stream, early);
}

class WebTransportTransport implements AbortableTransport, KeptTransport {
  // QUIC itself monitors the connection, and reports when it is lost.
  readonly keepAlive = { signs: 0 };
  readonly #session: WebTransportLike;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** The one-way stream of this side, once it is needed. */
  #notices: Promise<WritableStreamDefaultWriter<Uint8Array>> | undefined;
  /** What came with the opening byte. */
  #early: Uint8Array | undefined;
  #sent = 0;
  #received = 0;
  /** After how many bytes the peer ends; undefined until it has said so. */
  #end: number | undefined;
  /** Whether no more bytes come. */
  #streamEnded = false;
  #failure: { error: unknown } | undefined;
  /** Ends the wait for the reason of a failure. */
  #cancelWait: (() => void) | undefined;
  #reading: PromiseWithResolvers<Uint8Array | null> | undefined;
  #writeEnding: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  /** Resolves when the peer has read everything, or the session has ended. */
  readonly #delivered = Promise.withResolvers<void>();

  constructor(
    session: WebTransportLike,
    stream: WebTransportStreamLike,
    early: Uint8Array | undefined,
  ) {
    this.#session = session;
    this.#reader = stream.readable.getReader();
    this.#writer = stream.writable.getWriter();
    // Their errors come out of read() and write().
    this.#reader.closed.catch(() => {});
    this.#writer.closed.catch(() => {});
    if (early !== undefined && early.length > 0) this.#early = early;
    session.closed.then(
      (info) => this.#fail(closedEarly(info)),
      (error) => this.#fail(error),
    );
    this.#readNotices().catch((error) => this.#fail(error));
  }

  read(): Promise<Uint8Array | null> {
    if (this.#received === this.#end) return Promise.resolve(null);
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    const early = this.#early;
    if (early !== undefined) {
      this.#early = undefined;
      this.#receive(early.length);
      return Promise.resolve(early);
    }
    this.#reading = Promise.withResolvers();
    const { promise } = this.#reading;
    if (!this.#streamEnded) void this.#readStream();
    return promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#writer.write(bytes);
    this.#sent += bytes.length;
  }

  closeWrite(): Promise<void> {
    return this.#writeEnding ??= this.#endWriting();
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  abort(): void {
    this.#closing ??= Promise.resolve();
    this.#closeSession();
  }

  async #close(): Promise<void> {
    this.closeWrite().catch(() => this.#delivered.resolve());
    await settlesWithin(CLOSE_TIMEOUT, this.#delivered.promise);
    this.#closeSession();
  }

  #closeSession(): void {
    this.#fail(new Error("the transport was closed"));
    this.#session.close({ closeCode: 0, reason: "" });
  }

  async #endWriting(): Promise<void> {
    const notice = new Uint8Array(END_SIZE);
    notice[0] = END;
    new DataView(notice.buffer).setBigUint64(1, BigInt(this.#sent));
    await this.#notify(notice);
    // Deno does not tell the peer of this yet (denoland/deno#36822).
    this.#writer.close().catch(() => {});
  }

  async #notify(notice: Uint8Array): Promise<void> {
    this.#notices ??= this.#session.createUnidirectionalStream()
      .then((stream) => stream.getWriter());
    const writer = await this.#notices;
    writer.closed.catch(() => {});
    await writer.write(notice);
  }

  async #readStream(): Promise<void> {
    try {
      const { done, value } = await this.#reader.read();
      if (done) {
        this.#streamEnded = true;
        return this.#checkEnd();
      }
      this.#receive(value.length);
      this.#reading?.resolve(value);
      this.#reading = undefined;
    } catch (error) {
      // The reason of the session, which says more, may come a little later.
      if (this.#failure !== undefined) return;
      this.#cancelWait = timeLimit(REASON_TIMEOUT, () => this.#fail(error));
    }
  }

  #receive(count: number): void {
    this.#received += count;
    this.#checkEnd();
  }

  /** Checks what has arrived against the end that the peer has announced. */
  #checkEnd(): void {
    const end = this.#end;
    if (end === undefined) return;
    if (this.#received > end || this.#streamEnded && this.#received < end) {
      return this.#fail(violation("its bytes are not as many as it said"));
    }
    if (this.#received < end) return;
    // The last bytes are on their way to the reader.
    this.#notify(new Uint8Array([ALL_READ])).catch(() => {});
  }

  /** Reads what the peer says on its one-way stream, of which there is one. */
  async #readNotices(): Promise<void> {
    const streams = this.#session.incomingUnidirectionalStreams.getReader();
    const { done, value: stream } = await streams.read();
    if (done) return;
    const reader = stream.getReader();
    const notices = new Uint8Array(END_SIZE);
    let held = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const byte of value) {
        notices[held++] = byte;
        if (notices[0] === ALL_READ) this.#delivered.resolve();
        else if (notices[0] !== END || this.#end !== undefined) {
          throw violation("it sent an unknown notice");
        } else if (held < END_SIZE) continue;
        else this.#setEnd(new DataView(notices.buffer).getBigUint64(1));
        held = 0;
      }
    }
  }

  #setEnd(end: bigint): void {
    this.#end = Number(end);
    this.#checkEnd();
    if (this.#received !== this.#end) return;
    this.#reading?.resolve(null);
    this.#reading = undefined;
  }

  /** Nothing more can be read. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#cancelWait?.();
    this.#delivered.resolve();
    this.#reading?.reject(error);
    this.#reading = undefined;
  }
}

/** The error for a session that ended before all bytes of the peer arrived. */
function closedEarly(
  { closeCode = 0, reason = "" }: WebTransportCloseInfoLike,
) {
  const why = `${closeCode === 0 ? "" : ` ${closeCode}`}${
    reason && ` ${printableText(reason)}`
  }`;
  return new Error(
    `the WebTransport session was closed before its end${why && `:${why}`}`,
  );
}

function violation(how: string): MuxError {
  return new MuxError(
    "protocol-error",
    `Cannot read over WebTransport: ${how}`,
  );
}
