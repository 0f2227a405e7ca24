/**
 * A server that is not of this package: it knows nothing of the field `Q`, as those
 * in Go.
 *
 * @module
 */
import { listenSession } from "@qtalk/qtalk/talk";
import type { Channel } from "@qtalk/qtalk/mux";

/** Such a server, and what it was asked. */
export interface PlainServer extends AsyncDisposable {
  readonly addr: string;
  /** The selectors that were called. */
  readonly selectors: readonly string[];
}

/** How it answers a call: with a value, with an error, or never. */
export type PlainAnswer = { value: unknown } | { error: string } | undefined;

/** Starts one on a free port. */
export async function servePlain(
  answer: (selector: string, args: unknown) => PlainAnswer,
): Promise<PlainServer> {
  const selectors: string[] = [];
  async function serve(channel: Channel): Promise<void> {
    const reader = new ValueReader(channel);
    const { Selector: selector } = await reader.next() as { Selector: string };
    selectors.push(selector);
    const answered = answer(selector, await reader.next());
    if (answered === undefined) return;
    const isError = "error" in answered;
    const writer = channel.writable.getWriter();
    await writer.write(
      encoded({ Error: isError ? answered.error : null, Continue: false }),
    );
    await writer.write(encoded(isError ? null : answered.value));
    await writer.close();
    await channel.close();
  }
  const listener = await listenSession("tcp://127.0.0.1:0");
  const serving = (async () => {
    for await (const session of listener) {
      session.accept((channel) => void serve(channel).catch(() => {}));
    }
  })();
  return {
    addr: listener.addr,
    selectors,
    async [Symbol.asyncDispose]() {
      await listener.close();
      await serving;
    },
  };
}

/** Reads values in JSON with a length before them. */
class ValueReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #bytes = new Uint8Array();

  constructor(channel: Channel) {
    this.#reader = channel.readable.getReader();
  }

  async next(): Promise<unknown> {
    const length = new DataView((await this.#take(4)).buffer).getUint32(0);
    return JSON.parse(new TextDecoder().decode(await this.#take(length)));
  }

  async #take(size: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#bytes.length < size) {
      const { value } = await this.#reader.read();
      if (value === undefined) throw new Error("The caller has left");
      this.#bytes = new Uint8Array([...this.#bytes, ...value]);
    }
    const taken = this.#bytes.slice(0, size);
    this.#bytes = this.#bytes.slice(size);
    return taken;
  }
}

function encoded(value: unknown): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(value));
  const bytes = new Uint8Array(4 + json.length);
  new DataView(bytes.buffer).setUint32(0, json.length);
  bytes.set(json, 4);
  return bytes;
}
