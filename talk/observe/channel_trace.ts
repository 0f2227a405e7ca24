import type { Codec } from "../../codec/internal.ts";
import type { CaptureBudget } from "./capture.ts";
import {
  type End,
  type ObservedBase,
  type ObservedCall,
  type ObservedCallEnd,
  type ObservedChannel,
  type ObservedEvent,
  type ObservedValue,
  otherEnd,
} from "./events.ts";
import { readHeader, type TracedHeader } from "./traced_header.ts";
import { type ScannerSink, ValueScanner } from "./value_scanner.ts";

/** How many bytes of a byte stream an event shows. */
const HEAD_SIZE = 1024;
/** The bytes that a JSON text can begin with. */
const JSON_BEGIN = new Set(
  Array.from('{["-0123456789tfn \t\r\n', (char) => char.charCodeAt(0)),
);

/** An event without what every event has. */
export type EventBody<E = ObservedEvent> = E extends ObservedEvent
  ? Omit<E, keyof ObservedBase>
  : never;

/** What a channel needs of its session. */
export interface TraceContext {
  readonly codecs: readonly Codec[];
  readonly budget: CaptureBudget;
  now(): number;
  emit(body: EventBody): void;
  /** Has {@linkcode ChannelTrace.flush} called if no value follows a header soon. */
  flushLater(channel: ChannelTrace): void;
  /** The value has followed. */
  flushed(channel: ChannelTrace): void;
}

/** A channel as it was seen, and the calls on it, one after the other. */
export class ChannelTrace implements ObservedChannel {
  readonly number: number;
  readonly opener: End;
  readonly sent: Record<End, number> = { near: 0, far: 0 };
  readonly window: Record<End, number> = { near: 0, far: 0 };
  readonly closed: Record<End, boolean> = { near: false, far: false };
  /** The ID that each end gave it. */
  readonly ids: Partial<Record<End, number>> = {};
  call: ObservedCall | undefined;
  readonly #context: TraceContext;
  readonly #requested: number;
  readonly #directions: Record<End, Direction>;
  /** When the last header was read. */
  headerTime = 0;
  #argumentAwaited = false;
  #answer: TracedHeader | undefined;
  #answerAwaited = false;
  #codec: Codec | undefined;
  #closer: End | undefined;
  #over = false;
  #calls = 0;
  /** What each end had sent when the last call ended. */
  #sentBefore: Readonly<Record<End, number>> = { near: 0, far: 0 };

  /** Makes a channel that one end has requested. */
  constructor(number: number, opener: End, context: TraceContext) {
    this.number = number;
    this.opener = opener;
    this.#context = context;
    this.#requested = context.now();
    this.#directions = {
      near: this.#direction("near"),
      far: this.#direction("far"),
    };
  }

  /** A piece of payload, not empty. */
  take(by: End, piece: Uint8Array): void {
    this.sent[by] += piece.length;
    if (!this.#over) this.#directions[by].scanner.push(piece);
  }

  /** EOF. */
  end(by: End): void {
    if (this.#over) return;
    this.#directions[by].scanner.end();
    this.flush();
  }

  /** OPEN_CONFIRM or OPEN_FAILURE. */
  answered(state: "opened" | "refused"): void {
    const duration = this.#context.now() - this.#requested;
    this.#context.emit({ type: "channel", state, channel: this, duration });
    if (state === "refused") this.#finish();
  }

  /** CLOSE. Returns whether both ends have closed it now, and not before. */
  close(by: End): boolean {
    if (this.closed[by]) return false;
    this.#closer ??= by;
    this.closed[by] = true;
    this.end(by);
    if (!this.closed[otherEnd(by)]) return false;
    this.end(otherEnd(by));
    this.#endCall(false);
    const duration = this.#context.now() - this.#requested;
    const body = { type: "channel", state: "closed" } as const;
    this.#context.emit({ ...body, channel: this, duration });
    return true;
  }

  /** Its stream has ended without CLOSE, and the session goes on. */
  cut(): void {
    this.lose();
    const duration = this.#context.now() - this.#requested;
    const body = { type: "channel", state: "closed" } as const;
    this.#context.emit({ ...body, channel: this, duration });
  }

  /** The session has ended. */
  lose(): void {
    if (this.#over) return;
    this.end("near");
    this.end("far");
    this.#endCall(true);
  }

  /** Reports headers whose first value has not arrived with them. */
  flush(): void {
    this.#reportCall(undefined);
    this.#reportAnswer(undefined);
  }

  #direction(by: End): Direction {
    const isCaller = by === this.opener;
    const direction: Direction = {
      values: -1,
      raw: false,
      controls: false,
      bytes: 0,
      scanner: new ValueScanner(this.#sink(by, isCaller), this.#context.budget),
    };
    return direction;
  }

  #sink(by: End, isCaller: boolean): ScannerSink {
    return {
      onValue: (bytes, size) => {
        const direction = this.#directions[by];
        if (direction.values < 0) {
          const isHeader = isCaller
            ? this.#onCall(bytes, size)
            : this.#onAnswer(bytes, size);
          if (isHeader) direction.values = 0;
          return isHeader;
        }
        if (direction.controls) return this.#onControl(by, bytes);
        return this.#onValue(by, bytes, size);
      },
      onEmpty: () => {
        const direction = this.#directions[by];
        if (direction.values < 0 || this.call?.extension === undefined) {
          return false;
        }
        direction.controls = true;
        return true;
      },
      mayBegin: (firstByte) => {
        const { values, raw } = this.#directions[by];
        if (values < 0) {
          return isCaller
            ? this.#codecFor(firstByte) !== undefined
            : this.call !== undefined;
        }
        return raw || this.#codec?.name !== "JSON" || JSON_BEGIN.has(firstByte);
      },
      onBytes: (piece, size) => this.#onBytes(by, piece, size),
    };
  }

  #codecFor(firstByte: number): Codec | undefined {
    return this.#context.codecs.find((codec) => codec.beginsMap?.(firstByte));
  }

  #onCall(bytes: Uint8Array, size: number): boolean {
    const codec = this.#codecFor(bytes[0]!);
    const header = readHeader(codec, bytes, size);
    if (codec === undefined || header === undefined) return false;
    this.#codec = codec;
    this.call = {
      number: ++this.#calls,
      selector: header.selector,
      codec: codec.name,
      extension: header.extension,
      time: this.#context.now(),
      caller: this.opener,
    };
    this.#argumentAwaited = true;
    this.headerTime = this.call.time;
    this.#context.flushLater(this);
    return true;
  }

  #onAnswer(bytes: Uint8Array, size: number): boolean {
    if (this.call === undefined) return false;
    const codec = this.#codec?.beginsMap?.(bytes[0]!) === false
      ? this.#codecFor(bytes[0]!)
      : this.#codec;
    const header = readHeader(codec, bytes, size);
    if (header === undefined) return false;
    this.#answer = header;
    this.#answerAwaited = true;
    this.headerTime = this.#context.now();
    this.#context.flushLater(this);
    return true;
  }

  #onControl(by: End, bytes: Uint8Array): boolean {
    const direction = this.#directions[by];
    direction.controls = false;
    const header = readHeader(this.#codec, bytes, bytes.length);
    if (header === undefined) return false;
    if (typeof header.extension?.bytes === "boolean") {
      direction.raw = header.extension.bytes;
      return true;
    }
    this.flush();
    this.#context.emit({
      type: "trailer",
      by,
      channel: this,
      call: this.call!,
      error: header.error,
    });
    return true;
  }

  #onValue(by: End, bytes: Uint8Array, size: number): boolean {
    const direction = this.#directions[by];
    const value = direction.raw
      ? { size, bytes: bytes.slice(), value: bytes.slice(), decoded: true }
      : observedValue(this.#codec, bytes, size);
    // A header is always followed by a value; what comes later may be bytes.
    const isComplete = bytes.length === size;
    if (!value.decoded && isComplete && direction.values > 0) return false;
    const index = direction.values++;
    if (by === this.opener && this.#argumentAwaited) this.#reportCall(value);
    else if (by !== this.opener && this.#answerAwaited) {
      this.#reportAnswer(value);
    } else {
      const call = this.call!;
      this.#context.emit({
        type: "value",
        by,
        channel: this,
        call,
        index,
        value,
      });
    }
    if (by !== this.opener && index === 0) this.#endIfAgain();
    return true;
  }

  #onBytes(by: End, piece: Uint8Array, size: number): void {
    this.flush();
    const direction = this.#directions[by];
    const first = direction.bytes === 0;
    direction.bytes += size;
    this.#context.emit({
      type: "bytes",
      by,
      channel: this,
      call: this.call,
      size,
      head: piece.slice(0, HEAD_SIZE),
      first,
    });
  }

  #reportCall(argument: ObservedValue | undefined): void {
    if (!this.#argumentAwaited) return;
    this.#argumentAwaited = false;
    this.#context.emit({
      type: "call",
      by: this.opener,
      channel: this,
      call: this.call!,
      argument,
    });
    if (!this.#answerAwaited) this.#context.flushed(this);
  }

  #reportAnswer(value: ObservedValue | undefined): void {
    if (!this.#answerAwaited) return;
    this.#answerAwaited = false;
    this.#reportCall(undefined);
    const { error, continued, extension } = this.#answer!;
    const call = this.call!;
    this.#context.emit({
      type: "answer",
      by: otherEnd(this.opener),
      channel: this,
      call,
      error,
      continued,
      extension,
      value,
      // Its value may have arrived later.
      duration: this.headerTime - call.time,
    });
    if (!this.#argumentAwaited) this.#context.flushed(this);
  }

  /**
   * Ends the call whose answer is complete, if the channel may have another one.
   * If the caller has sent more than its argument, it follows other rules than
   * this side knows: all that follows is shown as values of this call.
   */
  #endIfAgain(): void {
    const answer = this.#answer!;
    const mayGoOn = this.call?.extension?.again === true &&
      answer.extension?.again === true &&
      answer.error === undefined && !answer.continued &&
      this.#directions[this.opener].values === 1;
    if (!mayGoOn) return;
    this.#reportEnd(false);
    this.call = undefined;
    this.#answer = undefined;
    this.#sentBefore = { ...this.sent };
    for (const direction of Object.values(this.#directions)) {
      direction.values = -1;
      direction.raw = direction.controls = false;
    }
  }

  #endCall(isLost: boolean): void {
    this.#reportEnd(isLost);
    this.#finish();
  }

  #reportEnd(isLost: boolean): void {
    const { call } = this;
    if (call === undefined) return;
    const { near, far } = this.#directions;
    this.#context.emit({
      type: "call-end",
      channel: this,
      call,
      outcome: this.#outcome(isLost),
      duration: this.#context.now() - call.time,
      continued: this.#answer?.continued ?? false,
      values: {
        near: Math.max(0, near.values),
        far: Math.max(0, far.values),
      },
      sent: {
        near: this.sent.near - this.#sentBefore.near,
        far: this.sent.far - this.#sentBefore.far,
      },
    });
  }

  #outcome(isLost: boolean): ObservedCallEnd["outcome"] {
    const answer = this.#answer;
    if (answer !== undefined && !(isLost && answer.continued)) {
      return answer.error === undefined ? "answered" : "failed";
    }
    if (isLost) return "lost";
    return this.#closer === this.opener ? "cancelled" : "unanswered";
  }

  #finish(): void {
    this.#over = true;
    this.#directions.near.scanner.end();
    this.#directions.far.scanner.end();
  }
}

/** What was read of one direction. */
interface Direction {
  readonly scanner: ValueScanner;
  /** Values after the header of the call; -1 before it. */
  values: number;
  /** Whether the values are bytes, as a header within the stream says. */
  raw: boolean;
  /** Whether a header comes next, within the stream. */
  controls: boolean;
  /** Bytes that were no values. */
  bytes: number;
}

function observedValue(
  codec: Codec | undefined,
  bytes: Uint8Array,
  size: number,
): ObservedValue {
  const kept = bytes.slice();
  if (codec !== undefined && bytes.length === size) {
    try {
      const value = codec.decode(bytes);
      return { size, bytes: kept, value, decoded: true };
    } catch {
      // It is shown as bytes.
    }
  }
  return { size, bytes: kept, decoded: false };
}
