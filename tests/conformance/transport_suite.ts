/**
 * What every transport does, as tests of a factory.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Transport } from "../../mux/types.ts";
import { concat, text, utf8 } from "../support/wire.ts";
import { turn, until, watch, within } from "../support/within.ts";
import { type Behaviour, type Exceptions, registerSuite } from "./behaviour.ts";

/** Two transports, each the other's far end. */
export interface TransportPair {
  /** The end that began. */
  a: Transport;
  /** The end that answered. */
  b: Transport;
  /** Ends what stands behind them, such as a listener. */
  close(): void | Promise<void>;
}

/** More than any pipe or socket between two ends holds. */
const FLOOD = 16 * 1024 * 1024;

/** A behaviour of transports. */
export type TransportBehaviour = Behaviour<TransportPair>;

/** Registers the tests, each named after the transport. */
export function testTransport(
  name: string,
  makePair: () => Promise<TransportPair>,
  exceptions: Exceptions = {},
): void {
  registerSuite(
    name,
    transportBehaviours(),
    (behaviour) => tryOut(behaviour, makePair),
    exceptions,
  );
}

/** Tries one behaviour out on a new pair. */
async function tryOut(
  { name, body }: TransportBehaviour,
  makePair: () => Promise<TransportPair>,
): Promise<void> {
  const pair = await makePair();
  try {
    await within(body(pair), name);
  } finally {
    await Promise.all([pair.a.close(), pair.b.close()]);
    await pair.close();
  }
}

/** The suite. */
export function transportBehaviours(): TransportBehaviour[] {
  const behaviours: TransportBehaviour[] = [];
  const test = (name: string, body: TransportBehaviour["body"]) => {
    behaviours.push({ name, body, options: undefined });
  };

  test("bytes come out at the other end, both ways", async ({ a, b }) => {
    const [atA, atB] = [new Reading(a), new Reading(b)];
    await Promise.all([a.write(utf8("there")), b.write(utf8("and back"))]);
    assertEquals(text(await atB.take(5)), "there");
    assertEquals(text(await atA.take(8)), "and back");
  });

  test("bytes are the caller's again once they are written", async ({ a, b }) => {
    const reading = new Reading(b);
    for (const size of [3, 300 * 1024]) {
      const buffer = new Uint8Array(size);
      for (let i = 1; i <= 8; i++) {
        await a.write(buffer.fill(i));
        buffer.fill(0);
      }
      const bytes = await reading.take(8 * size);
      // Not assertEquals: its message would be megabytes long.
      assert(bytes.every((byte, at) => byte === 1 + Math.floor(at / size)));
    }
  });

  test("8 MiB come out whole, in their order", async ({ a, b }) => {
    const size = 8 * 1024 * 1024;
    const reading = new Reading(b);
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = i * 7 + (i >>> 13);
    await a.write(bytes);
    const came = await reading.take(size);
    // Not assertEquals: its message would be 8 MiB long.
    assert(came.every((byte, i) => byte === bytes[i]));
  });

  test("a write waits while the other end does not read", async ({ a, b }) => {
    const writing = a.write(new Uint8Array(FLOOD));
    const watched = watch(writing);
    for (let i = 0; i < 20; i++) await turn();
    assertEquals(watched.state, "pending");
    await new Reading(b).take(FLOOD);
    await writing;
  });

  test("the end of one direction leaves the other open", async ({ a, b }) => {
    const [atA, atB] = [new Reading(a), new Reading(b)];
    await a.write(utf8("all of it"));
    await a.closeWrite();
    assertEquals(text(await atB.rest()), "all of it");
    await b.write(utf8("answer"));
    assertEquals(text(await atA.take(6)), "answer");
    await b.closeWrite();
    assertEquals(await atA.rest(), new Uint8Array(0));
  });

  test("close() settles a read under way", async ({ a }) => {
    const reading = watch(a.read());
    await turn();
    assertEquals(reading.state, "pending");
    await a.close();
    await until(() => reading.state !== "pending");
  });

  test("close() settles a write under way", async ({ a }) => {
    const writing = watch(a.write(new Uint8Array(FLOOD)));
    await turn();
    assertEquals(writing.state, "pending");
    await a.close();
    await until(() => writing.state !== "pending");
  });

  test("close() ends the other end's reading", async ({ a, b }) => {
    const reading = b.read().catch(() => null);
    await a.close();
    assertEquals(await reading, null);
  });

  test("closing twice is as good as once", async ({ a }) => {
    await a.close();
    await a.close();
    assertEquals(await a.read().catch(() => null), null);
  });

  test("closing after the writing side was ended is no error", async ({ a }) => {
    await a.closeWrite();
    await a.close();
    assertEquals(await a.read().catch(() => null), null);
  });

  return behaviours;
}

/** Reads all the time, as a session does. */
class Reading {
  readonly #done: Promise<void>;
  #chunks: Uint8Array[] = [];
  #length = 0;
  #wanted: { size: number; resolve: () => void } | undefined;

  constructor(transport: Transport) {
    this.#done = this.#run(transport);
    this.#done.catch(() => {});
  }

  /** The next bytes, that many. */
  async take(size: number): Promise<Uint8Array> {
    if (this.#length < size) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wanted = { size, resolve };
      await Promise.race([promise, this.#done]);
    }
    assert(this.#length >= size, `only ${this.#length} of ${size} bytes came`);
    const all = concat(...this.#chunks);
    this.#chunks = [all.subarray(size)];
    this.#length -= size;
    return all.subarray(0, size);
  }

  /** All that is left, up to the end. */
  async rest(): Promise<Uint8Array> {
    await this.#done;
    return await this.take(this.#length);
  }

  async #run(transport: Transport): Promise<void> {
    for (;;) {
      const chunk = await transport.read();
      if (chunk === null) return;
      this.#chunks.push(chunk.slice());
      this.#length += chunk.length;
      if (this.#wanted !== undefined && this.#length >= this.#wanted.size) {
        this.#wanted.resolve();
        this.#wanted = undefined;
      }
    }
  }
}
