import { printableText } from "../../printable_text.ts";
import { CallError } from "../errors.ts";
import { answerBy } from "../handler/function_handler.ts";
import type { HandlerFunction } from "../types.ts";
import {
  openSource,
  RestOfStream,
  type ValueSource,
  type ValueStream,
} from "../wire/value_source.ts";
import type { CallbackKind } from "./pointers.ts";

/** The kind of stream that its ID names. */
export function kindOfStream(stream: ValueStream): CallbackKind {
  if (stream instanceof RestOfStream) return "whole";
  return isByteStream(stream) ? "bytes" : "values";
}

/** Whether a stream can be read once only, like a generator. */
export function isOneStream(stream: ValueStream): boolean {
  return stream instanceof ReadableStream || "next" in stream;
}

/** Whether a stream gives bytes only. Others may give bytes, too. */
function isByteStream(stream: ValueStream): boolean {
  if (!(stream instanceof ReadableStream)) return false;
  try {
    stream.getReader({ mode: "byob" }).releaseLock();
    return true;
  } catch {
    return false;
  }
}

/** How a stream ends that the peer reads, and may not read on. */
export interface Cut {
  /** The selector of the call that it was sent with. */
  readonly selector: string;
  /** What the producer learns, if the program said why. */
  readonly reason?: unknown;
}

/** A stream of this side that the peer can read, once. */
export class LentStream {
  readonly #stream: ValueStream;
  readonly #onEnd: () => void;
  #state: "unread" | "read" | "taken" = "unread";
  /** How it was cut off while it was read. */
  #cut: Cut | undefined;
  /** Ends the value that is waited for, and with it the stream. */
  #endWait: ((cut: Cut) => void) | undefined;

  /**
   * Makes what answers the peer when it reads.
   *
   * @param onEnd called when the stream has been read
   * @throws {TypeError} if the stream is locked
   */
  constructor(stream: ValueStream, onEnd: () => void) {
    if (stream instanceof ReadableStream && stream.locked) {
      throw new TypeError("Cannot send stream: it is locked");
    }
    this.#stream = stream;
    this.#onEnd = onEnd;
  }

  /** Answers the call of the function that the stream is on the wire. */
  readonly handler: HandlerFunction = async (call, respond) => {
    if (this.#state !== "unread") {
      throw new CallError("Cannot read stream: it was read already", {
        code: "released",
      });
    }
    this.#state = "read";
    try {
      // The call whose whole argument it is rejects with its error.
      const reports = !(this.#stream instanceof RestOfStream);
      await answerBy(({ sourceFor, respondWithValues }) => {
        const source = this.#cuttable(sourceFor(this.#stream, call));
        return respondWithValues(source, call, respond, reports);
      });
    } catch (error) {
      // Nothing reads it if that could not be loaded; else it has ended.
      this.#stop(error);
      throw error;
    } finally {
      this.#onEnd();
    }
  };

  /** The stream itself, for a peer that gives it back unread. */
  take(): ValueStream {
    if (this.#state === "unread") this.#state = "taken";
    return this.#stream;
  }

  #cuttable(source: ValueSource): ValueSource {
    const cutOff = ({ selector }: Cut) =>
      new CallError(
        `Cannot read stream: its call "${
          printableText(selector)
        }" was given up`,
        { code: "cancelled" },
      );
    return {
      next: () =>
        new Promise((resolve, reject) => {
          if (this.#cut !== undefined) return reject(cutOff(this.#cut));
          this.#endWait = (cut) => reject(cutOff(cut));
          source.next().then(resolve, reject);
        }),
      stop: (reason) => source.stop(this.#cut?.reason ?? reason),
    };
  }

  /**
   * The peer will not begin to read it: ends its producer.
   *
   * @param cut if set, the peer may not read on, either
   */
  letGo(cut?: Cut): void {
    if (cut !== undefined && this.#state === "read") {
      this.#cut = cut;
      return this.#endWait?.(cut);
    }
    if (this.#state !== "unread") return;
    this.#state = "taken";
    this.#stop(cut?.reason);
  }

  #stop(reason: unknown): void {
    try {
      openSource(this.#stream).stop(reason);
    } catch {
      // It is locked: something else reads it.
    }
  }
}
