/**
 * Streams as their reader sees them.
 *
 * @module
 */
import type { ByteStream, Peer } from "../../../mod.ts";

/** What a stream is made of. */
export type Kind = "bytes" | "values";
/** How a stream came to its end. */
export type Ending =
  /** Complete. */
  | "complete"
  /** It ended with an error. */
  | "failed"
  /** It ended as if it were complete, and was not. */
  | "cut"
  /** It did not end. */
  | "hung";

/** Milliseconds within which a stream has to end once its producer is gone. */
const PATIENCE = 10_000;
/** Bytes in a chunk of the producer. */
const CHUNK = 10_000;

/** What the producer offers. */
interface Producer {
  values(count: number, failAt: number | null): AsyncIterable<string>;
  bytes(count: number, failAt: number | null): ByteStream;
}

/** A stream of `count` items that is being read. */
export class Reading {
  readonly kind: Kind;
  readonly #count: number;
  readonly #fails: boolean;
  readonly #ended: Promise<Ending>;
  /** Items that came. */
  received = 0;
  onItem: () => void = () => {};

  /**
   * Begins to read.
   *
   * @param failAt the item in whose place the source throws, if it does
   */
  constructor(peer: Peer, kind: Kind, count: number, failAt: number | null) {
    this.kind = kind;
    this.#count = count;
    this.#fails = failAt !== null;
    const remote = peer.remote<Producer>();
    const read = kind === "values"
      ? this.#readValues(remote.values(count, failAt))
      : this.#readBytes(remote.bytes(count, failAt));
    this.#ended = read.then(
      () => this.#isWhole() ? "complete" : "cut",
      () => "failed",
    );
  }

  /** How it ends, or that it does not. */
  async ending(): Promise<Ending> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<Ending>((resolve) => {
      timer = setTimeout(() => resolve("hung"), PATIENCE);
    });
    try {
      return await Promise.race([this.#ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #isWhole(): boolean {
    // A stream that throws after its last item is not complete either.
    return !this.#fails && this.received === this.#count;
  }

  async #readValues(values: AsyncIterable<unknown>): Promise<void> {
    for await (const _ of values) this.#got(1);
  }

  async #readBytes(stream: PromiseLike<ByteStream>): Promise<void> {
    const { readable } = await stream;
    let bytes = 0;
    for await (const chunk of readable) {
      bytes += chunk.length;
      this.#got(bytes / CHUNK - this.received);
    }
  }

  #got(items: number): void {
    this.received += items;
    this.onItem();
  }
}
