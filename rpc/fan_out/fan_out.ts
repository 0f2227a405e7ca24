import {
  checkFunctions,
  checkObject,
  checkOption,
  checkSignal,
  kindOf,
} from "../../check_option.ts";
import { nextTurn } from "../../mux/internal.ts";
import { CallError } from "../errors.ts";
import {
  checkResult,
  isValueStream,
  openSource,
  type ValueSource,
  type ValueStream,
} from "../wire/value_source.ts";
import { Subscriber } from "./subscriber.ts";
import {
  DEFAULT_FAN_OUT_OPTIONS,
  type FanOut,
  type FanOutOptions,
  type FanOutSource,
  type SubscribeOptions,
  type WhenFull,
} from "./types.ts";

const WHEN_FULL: readonly unknown[] = [
  "end",
  "drop-oldest",
  "drop-newest",
  "keep-latest",
];

/**
 * Gives the values of one source to many subscribers. Each subscriber has its own
 * buffer, so a slow one does not delay the others, and values do not pile up: when
 * its buffer is full, it misses values or is ended, depending on `whenFull`.
 *
 * The source is opened for the first subscriber, and read as fast as it has values.
 * Without a source, the values are those of `publish()`.
 *
 * @example
 * ```ts
 * import { handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import { fanOut } from "@qtalk/qtalk/fan-out";
 * import { assertEquals } from "@std/assert";
 *
 * using users = fanOut<string[]>(undefined, {
 *   replay: 1,
 *   whenFull: "keep-latest",
 * });
 * users.publish(["Ann"]);
 * const service = { watch: () => users.subscribe() };
 *
 * const [client] = memoryPair({}, { handler: handlerFrom(service) });
 * await using _ = client;
 * const lists: string[][] = [];
 * for await (const list of client.remote<typeof service>().watch()) {
 *   lists.push(list);
 *   if (list.length === 2) break;
 *   users.publish(["Ann", "Bob"]);
 * }
 * assertEquals(lists, [["Ann"], ["Ann", "Bob"]]);
 * ```
 *
 * @param source where the values come from
 * @param options buffers, and what happens to subscribers that are too slow
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `source`, `size` or `whenFull` is of the wrong type
 */
export function fanOut<T>(
  source?: FanOutSource<T>,
  options: FanOutOptions<T> = {},
): FanOut<T> {
  return new SourceFanOut(source, options);
}

/** After how many values the event loop turns. */
const VALUES_PER_TURN = 64;

class SourceFanOut<T> implements FanOut<T> {
  readonly #source: FanOutSource<T> | undefined;
  readonly #buffer: number;
  readonly #whenFull: WhenFull;
  readonly #size: (value: T) => number;
  readonly #replay: number;
  readonly #cancelUnused: boolean;
  readonly #maxSubscribers: number;
  readonly #subscribers = new Set<Subscriber<T>>();
  /** The values for new subscribers. */
  #latest: T[] = [];
  /** The source while it is read. */
  #open: ValueSource | undefined;
  #end: { readonly error?: unknown } | undefined;
  #dropped = 0;

  constructor(
    source: FanOutSource<T> | undefined,
    options: FanOutOptions<T>,
  ) {
    checkObject("options of fanOut()", options);
    const {
      buffer = DEFAULT_FAN_OUT_OPTIONS.buffer,
      whenFull = "end",
      size = () => 1,
      replay = DEFAULT_FAN_OUT_OPTIONS.replay,
      cancelUnused = false,
      maxSubscribers = DEFAULT_FAN_OUT_OPTIONS.maxSubscribers,
    } = options;
    checkBuffer(buffer);
    checkWhenFull(whenFull);
    checkOption("replay", replay, COUNT);
    checkOption("maxSubscribers", maxSubscribers, { min: 0, max: Infinity });
    checkFunctions(options, "size");
    if (source !== undefined && typeof source !== "function") {
      checkSource(source);
    }
    this.#source = source;
    this.#buffer = buffer;
    this.#whenFull = whenFull;
    this.#size = size;
    this.#replay = replay;
    this.#cancelUnused = cancelUnused;
    this.#maxSubscribers = maxSubscribers;
  }

  get subscriberCount(): number {
    return this.#subscribers.size;
  }

  get droppedCount(): number {
    return this.#dropped;
  }

  subscribe(options: SubscribeOptions = {}): ReadableStream<T> {
    checkObject("options of subscribe()", options);
    const { signal, buffer = this.#buffer } = options;
    const { whenFull = this.#whenFull } = options;
    checkSignal(signal);
    checkBuffer(buffer);
    checkWhenFull(whenFull);
    if (this.#subscribers.size >= this.#maxSubscribers) {
      throw new CallError(
        `Cannot subscribe: there are ${this.#subscribers.size} subscribers, the limit of "maxSubscribers"`,
        { code: "busy" },
      );
    }
    if (this.#end === undefined) this.#start();
    const subscriber: Subscriber<T> = new Subscriber<T>(buffer, whenFull, {
      onDrop: (count) => void (this.#dropped += count),
      onLeave: () => this.#left(subscriber),
    });
    for (const value of this.#latest) {
      subscriber.give(value, sizeOf(value, this.#size), true);
    }
    if (this.#end === undefined) {
      this.#subscribers.add(subscriber);
      subscriber.endAt(signal);
    } else subscriber.end(this.#end);
    return subscriber.stream;
  }

  publish(value: T): void {
    if (this.#end !== undefined) return;
    const size = sizeOf(value, this.#size);
    if (this.#replay > 0) {
      if (this.#latest.length === this.#replay) this.#latest.shift();
      this.#latest.push(value);
    }
    for (const subscriber of this.#subscribers) subscriber.give(value, size);
  }

  /** Opens the source, unless it is open. */
  #start(): void {
    if (this.#source === undefined || this.#open !== undefined) return;
    let stream: ValueStream<T>;
    if (typeof this.#source === "function") {
      stream = this.#source();
      checkSource(stream);
    } else stream = this.#source;
    const open = this.#open = openSource(stream);
    void this.#read(open);
  }

  async #read(source: ValueSource): Promise<void> {
    try {
      for (let count = 1; this.#open === source; count++) {
        const { done, value } = checkResult(await source.next());
        if (this.#open !== source) return;
        if (done) return this.#finish({});
        this.publish(value as T);
        // A source that always has a value would block everything else.
        if (count % VALUES_PER_TURN === 0) await nextTurn();
      }
    } catch (error) {
      if (this.#open !== source) return;
      // It may have failed here, with an error from `size`.
      source.stop(error);
      this.#finish({ error });
    }
  }

  #left(subscriber: Subscriber<T>): void {
    this.#subscribers.delete(subscriber);
    if (!this.#cancelUnused || this.#subscribers.size > 0) return;
    if (this.#end !== undefined || this.#open === undefined) return;
    // A source that is not a function cannot be opened again.
    if (typeof this.#source !== "function") return this.close();
    const source = this.#open;
    this.#open = undefined;
    this.#latest = [];
    source.stop(undefined);
  }

  #finish(end: { readonly error?: unknown }): void {
    this.#end = end;
    this.#open = undefined;
    const subscribers = [...this.#subscribers];
    this.#subscribers.clear();
    for (const subscriber of subscribers) subscriber.end(end);
  }

  close(): void {
    if (this.#end !== undefined) return;
    const source = this.#open;
    this.#finish({});
    source?.stop(undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const COUNT = { min: 0, max: Number.MAX_SAFE_INTEGER };

function checkBuffer(buffer: number): void {
  checkOption("buffer", buffer, COUNT);
}

function checkWhenFull(value: unknown): void {
  if (WHEN_FULL.includes(value)) return;
  throw new TypeError(
    `Cannot use option "whenFull": it must be "end", "drop-oldest", "drop-newest" or "keep-latest", and is ${
      typeof value === "string" ? `"${value}"` : kindOf(value)
    }`,
  );
}

function checkSource(source: unknown): void {
  if (isValueStream(source)) return;
  throw new TypeError(
    `Cannot fan out source: it must be an async iterable, a ReadableStream or a function that returns one, and is ${
      kindOf(source)
    }`,
  );
}

function sizeOf<T>(value: T, measure: (value: T) => number): number {
  const size = measure(value);
  checkOption("size", size, { min: 0, max: Infinity, fraction: true });
  return size;
}
