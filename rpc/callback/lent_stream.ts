import { RpcError } from "../errors.ts";
import { respondWithValues, sourceFor } from "../handler/respond_with.ts";
import type { HandlerFunction } from "../types.ts";
import {
  openSource,
  RestOfStream,
  type ValueSource,
  type ValueStream,
} from "../wire/value_source.ts";
import type { CallbackKind } from "./callback_id.ts";

/** What the ID of a stream has to say. */
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

/** A stream of this side that the peer can read, once. */
export class LentStream {
  readonly #stream: ValueStream;
  readonly #onEnd: () => void;
  #state: "unread" | "read" | "taken" = "unread";
  /** Ends the value that is waited for, and with it the stream. */
  #cut: (() => void) | undefined;

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
      throw new TypeError("Cannot read stream: it was read already");
    }
    this.#state = "read";
    try {
      const source = this.#cuttable(sourceFor(this.#stream, call));
      await respondWithValues(source, call, respond);
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
    let isCut = false;
    const cut = () =>
      new RpcError("cancelled", "Cannot read stream: its call was given up");
    return {
      next: () =>
        new Promise((resolve, reject) => {
          if (isCut) return reject(cut());
          this.#cut = () => {
            isCut = true;
            reject(cut());
          };
          source.next().then(resolve, reject);
        }),
      stop: (reason) => source.stop(reason),
    };
  }

  /**
   * The peer will not begin to read it: ends its producer.
   *
   * @param cuts whether the peer may not read on, either
   */
  letGo(cuts: boolean): void {
    if (cuts && this.#state === "read") return this.#cut?.();
    if (this.#state !== "unread") return;
    this.#state = "taken";
    try {
      openSource(this.#stream).stop(undefined);
    } catch {
      // It is locked: something else reads it.
    }
  }
}
