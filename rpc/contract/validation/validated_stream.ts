/**
 * Streams whose values are checked one by one as they pass.
 *
 * @module
 */
import { iterable } from "../../wire/received_stream.ts";
import { checkResult, type ValueSource } from "../../wire/value_source.ts";
import type { Eventual, Validated } from "./validate.ts";
import type { ValidationIssue } from "./validation_error.ts";

/** How the values of a stream are checked. */
export interface StreamCheck {
  /** Checks a value, and returns its replacement. */
  readonly check: (value: unknown, position: number) => Eventual<Validated>;
  /** Makes the error that an invalid value is replaced by, and ends the stream. */
  readonly error: (issues: readonly ValidationIssue[]) => Error;
  /** Converts an error of the producer to the one that is thrown. */
  readonly failure?: ((error: unknown) => unknown) | undefined;
}

/** Checks the values of a stream as they are taken. */
export class ValidatedSource {
  readonly #source: ValueSource;
  readonly #check: StreamCheck;
  /** The first value, if it was taken already. */
  #first: Promise<IteratorResult<unknown>> | undefined;
  #count = 0;

  /**
   * Makes a source of another one.
   *
   * @param source what gives the values
   * @param check how they are checked
   * @param first the first one, if it was taken already
   */
  constructor(
    source: ValueSource,
    check: StreamCheck,
    first?: Promise<IteratorResult<unknown>>,
  ) {
    this.#source = source;
    this.#check = check;
    this.#first = first;
  }

  /** The next value. An invalid one stops the source. */
  async next(): Promise<IteratorResult<unknown>> {
    const { check, error } = this.#check;
    const result = await this.#take();
    if (result.done) return result;
    try {
      const validated = await check(result.value, this.#count++);
      if (validated.issues !== undefined) throw error(validated.issues);
      return { done: false, value: validated.value };
    } catch (thrown) {
      this.#source.stop(thrown);
      throw thrown;
    }
  }

  async #take(): Promise<IteratorResult<unknown>> {
    const next = this.#first ?? this.#source.next();
    this.#first = undefined;
    const { failure } = this.#check;
    if (failure === undefined) return checkResult(await next);
    try {
      return checkResult(await next);
    } catch (error) {
      throw await failure(error);
    }
  }

  /** Ends the producer. */
  stop(reason?: unknown): void {
    this.#source.stop(reason);
  }
}

/**
 * The values of a source, for a loop. Leaving it stops the producer.
 *
 * @param open makes the source when the loop begins
 * @param signal why the loop is left, if it is aborted
 */
export function iterableFrom(
  open: () => ValidatedSource,
  signal?: AbortSignal,
): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]() {
      const source = open();
      return {
        next: () => source.next(),
        return(value) {
          source.stop(signal?.reason);
          return Promise.resolve({ done: true, value });
        },
      };
    },
  };
}

/**
 * The values of a source as a stream, which takes none ahead.
 *
 * @param open makes the source when the stream is read: until then, what it is made
 * of can be given back
 */
export function streamFrom(
  open: () => ValidatedSource,
): ReadableStream<unknown> {
  let source: ValidatedSource | undefined;
  return iterable(
    new ReadableStream<unknown>({
      async pull(controller) {
        const { done, value } = await (source ??= open()).next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => (source ??= open()).stop(reason),
    }, { highWaterMark: 0 }),
  );
}
