/**
 * The page of the tests: dials the server that it came from, and lets it run
 * what is below. What a case throws is the error that the server's call gets.
 *
 * @module
 */
import {
  dial,
  handlerFrom,
  MuxError,
  Peer,
  qmux,
  RemoteError,
} from "@qtalk/qtalk";
import { messagePortTransport, windowTransport } from "@qtalk/qtalk/mux";
import { extendedCase } from "../interop/extended_cases.ts";
import { patternStream, verifyPattern } from "../interop/pattern.ts";

/** What is used of the page: Deno's types know no windows. */
interface Page {
  location: { host: string };
  frames: {
    postMessage(message: unknown, origin: string, transfer: unknown[]): void;
    location: { replace(url: string): void };
  }[];
  document: { querySelector(selector: string): { src: string } };
}
const { location, frames, document } = globalThis as unknown as Page;

const BULK = 64 * 1024 * 1024;

function expect(what: string, actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: got ${a}, expected ${b}`);
}

/** What a promise rejects with. */
function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(() => "no failure", (error) => error);
}

/** The iframe's end of a conversation, and its origin. */
function frame(): { peer: Peer; origin: string; url: string } {
  const url = document.querySelector("iframe").src;
  const { origin } = new URL(url);
  const transport = windowTransport(frames[0]!, origin);
  return { peer: new Peer(qmux(transport)), origin, url };
}

/** Bytes to an `echo` of bytes and back, both at once. */
async function thereAndBack(other: Peer, size: number): Promise<void> {
  await using response = await other.request("bytes");
  const { readable, writable, closed } = response.channel!;
  await Promise.all([
    patternStream(size).pipeTo(writable),
    verifyPattern(readable, size),
  ]);
  await closed;
}

const cases = {
  async calls() {
    const value = { text: "ünï 🦕", list: [1, null, { a: true }], n: -0.25 };
    expect("a value", await peer.call("echo", value), value);
    const long = "x".repeat(1_000_000);
    expect("a long value", await peer.call("echo", long), long);
    expect("a function", await peer.call("Upper", ["hello"]), "HELLO");
    const error = await failure(peer.call("Fail", ["boom"]));
    expect("a class", error instanceof RemoteError, true);
    expect("an error", (error as RemoteError).text, "boom");
    const calls = Array.from({ length: 1_000 }, (_, i) => peer.call("echo", i));
    const numbers = await Promise.all(calls);
    expect("many", numbers, numbers.map((_, i) => i));
  },

  extended: () => extendedCase(peer),

  /** Opens a session over WebTransport that lives as long as the page. */
  async openWebTransport(address: string, pin: string) {
    await dial(address, { tls: { pin } });
  },

  /** Over WebTransport, with the certificate of that fingerprint. */
  async webTransport(address: string, pin: string) {
    const other = await dial(address, { tls: { pin } });
    expect("a value", await other.call("echo", [1, "two"]), [1, "two"]);
    const calls = Array.from(
      { length: 1_000 },
      (_, i) => other.call("echo", i),
    );
    const numbers = await Promise.all(calls);
    expect("many", numbers, numbers.map((_, i) => i));
    await thereAndBack(other, 16 * 1024 * 1024);
    await other.close();
    const wrong = "00".repeat(32);
    const error = await failure(dial(address, { tls: { pin: wrong } }));
    expect("a code", (error as { code?: string }).code, "dial-failed");
  },

  async streams() {
    const counted: unknown[] = [];
    for await (const n of await peer.request("count", 1_000)) counted.push(n);
    expect("replies", counted, Array.from({ length: 1_000 }, (_, i) => i));
    async function* numbers() {
      yield 1_000; // as many come
      for (let i = 0; i < 1_000; i++) yield i;
    }
    expect("arguments", await peer.call("sum", numbers()), 499_500);
  },

  async callback() {
    using _ = peer.handle("inPage", handlerFrom((s: string) => `${s} here`));
    const answer = await peer.call("callback", ["inPage", ["I am"]]);
    expect("an answer", answer, "I am here");
  },

  async cancel() {
    const abort = new AbortController();
    const call = failure(peer.call("slow", 60_000, { signal: abort.signal }));
    await peer.call("echo");
    abort.abort("enough");
    expect("the reason", await call, "enough");
    while (await peer.call("cancelled") === 0);
  },

  bytes: () => thereAndBack(peer, BULK),

  /** Goes on until the page is closed. */
  never: () => new Promise<never>(() => {}),

  /** Reads some of a stream without an end, and then no more. */
  async drink() {
    const response = await peer.request("endless");
    await response.channel!.readable.getReader().read();
  },

  async worker() {
    const worker = new Worker("/worker.js", { type: "module" });
    const other = new Peer(qmux(messagePortTransport(worker)));
    expect("a function", await other.call("add", [1, 2]), 3);
    await thereAndBack(other, BULK / 4);
    await other.close();
    worker.terminate();
  },

  async port() {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker("/worker.js", { type: "module" });
    worker.postMessage({ port: port2 }, [port2]);
    const other = new Peer(qmux(messagePortTransport(port1)));
    expect("a function", await other.call("add", [1, 2]), 3);
    await other.close();
    worker.terminate();
  },

  async frame() {
    const { peer: other, origin } = frame();
    expect("its origin", await other.call("origin"), origin);
    expect("two origins", origin.endsWith(location.host), false);
    await thereAndBack(other, BULK / 4);
    await other.close();
  },

  async frameOfOtherOrigin() {
    const transport = windowTransport(frames[0]!, "https://other.example");
    const other = new Peer(qmux(transport, { closeTimeout: 1 }));
    const call = failure(other.call("origin"));
    // Messages keep their order: what comes after them has been answered.
    await cases.frame();
    await other.close();
    const error = await call;
    expect(
      "a failure",
      error instanceof MuxError && error.code,
      "session-closed",
    );
  },

  async frameThatGoes() {
    const { peer: other, url } = frame();
    await other.call("origin");
    frames[0]!.location.replace(`${url}&again`);
    const error = await failure(other.closed);
    expect(
      "a failure",
      error instanceof MuxError && error.code,
      "connection-lost",
    );
  },
};

const peer = await dial(`ws://${location.host}/rpc`, {
  handler: handlerFrom(cases),
});
