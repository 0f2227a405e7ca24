import { TlsError } from "@qtalk/qtalk";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { turn } from "../../tests/support/within.ts";
import { OutputClosed } from "./exit_code.ts";
import { type Sink, Terminal } from "./terminal.ts";

/** Keeps the text that is written. */
class Kept implements Sink {
  text = "";
  readonly #terminal: boolean;
  readonly #atOnce: number;
  readonly #decoder = new TextDecoder();

  constructor(terminal: boolean, atOnce = Infinity) {
    this.#terminal = terminal;
    this.#atOnce = atOnce;
  }

  isTerminal(): boolean {
    return this.#terminal;
  }

  writeSync(bytes: Uint8Array): number {
    const some = bytes.subarray(0, this.#atOnce);
    this.text += this.#decoder.decode(some, { stream: true });
    return some.length;
  }
}

class Broken extends Kept {
  override writeSync(): number {
    throw new Deno.errors.BrokenPipe();
  }
}

Deno.test("Terminal.onResult: only a terminal gets colour", () => {
  const yes = new Kept(true), no = new Kept(false);
  const mixed = new Terminal(no, yes, true);
  assertEquals(mixed.onResult("red", "x"), "x");
  assertEquals(mixed.onError("red", "x"), "\x1b[31mx\x1b[0m");
  const unwanted = new Terminal(yes, yes, false);
  assertEquals(unwanted.onResult("red", "x"), "x");
});

Deno.test("Terminal: results and errors go to separate streams in whole lines", () => {
  const out = new Kept(false, 3), err = new Kept(false, 3);
  const terminal = new Terminal(out, err, true);
  terminal.print("a result: é");
  terminal.note("a note");
  terminal.error(new TypeError("Cannot: no"));
  assertEquals(out.text, "a result: é\n", "errors do not go to stdout");
  assertEquals(err.text, "a note\nerror: Cannot: no\n");
});

Deno.test("Terminal.print: lines are written together at the end of the turn", async () => {
  const writes: number[] = [];
  class Counted extends Kept {
    override writeSync(bytes: Uint8Array): number {
      writes.push(bytes.length);
      return super.writeSync(bytes);
    }
  }
  const out = new Counted(false);
  const terminal = new Terminal(out, new Kept(false), false);
  for (let i = 0; i < 100; i++) terminal.print("line");
  assertEquals(writes, []);
  await turn();
  assertEquals(writes, [500]);
  terminal.print("x".repeat(100_000));
  assertEquals(writes, [500, 100_001]);
  await turn();
});

Deno.test("Terminal.progress: printing removes the progress line", () => {
  const out = new Kept(true), err = new Kept(true);
  const terminal = new Terminal(out, err, false);
  terminal.progress("1 %");
  terminal.progress("2 %"); // too soon after the first
  terminal.print("done");
  terminal.flush();
  terminal.print("really");
  terminal.flush();
  assertEquals(err.text, "\r\x1b[2K1 %\r\x1b[2K");
  terminal.progress("3 %");
  assertEquals(err.text, "\r\x1b[2K1 %\r\x1b[2K\r\x1b[2K3 %");
});

Deno.test("Terminal.progress: a long line is truncated", () => {
  const err = new Kept(true);
  new Terminal(new Kept(true), err, false).progress("x".repeat(10_000));
  assertEquals(err.text.length < 1_000, true);
});

Deno.test("Terminal.progress: it appears on a terminal only", async () => {
  const err = new Kept(false);
  const terminal = new Terminal(new Kept(true), err, true);
  terminal.progress("1 %");
  assertEquals(await terminal.waiting("Waiting", Promise.resolve(1)), 1);
  assertEquals(err.text, "");
});

Deno.test("Terminal.waiting: a terminal shows it after a second", async () => {
  using time = new FakeTime();
  const err = new Kept(true);
  const answer = Promise.withResolvers<number>();
  const waiting = new Terminal(new Kept(true), err, true)
    .waiting("Waiting for it", answer.promise);
  time.tick(999);
  assertEquals(err.text, "");
  time.tick(1);
  assertEquals(err.text, "\r\x1b[2KWaiting for it (1 s)");
  answer.resolve(1);
  assertEquals(await waiting, 1);
  assertEquals(err.text, "\r\x1b[2KWaiting for it (1 s)\r\x1b[2K");
  assertEquals(time.waiting, 0);

  const log = new Kept(false);
  const quiet = new Terminal(new Kept(true), log, true)
    .waiting("Waiting for it", Promise.resolve(1));
  assertEquals(time.waiting, 0);
  assertEquals(await quiet, 1);
  assertEquals(log.text, "");
});

Deno.test("Terminal.waiting: it settles like the promise and leaves no line", async () => {
  const err = new Kept(true);
  const terminal = new Terminal(new Kept(true), err, true);
  assertEquals(await terminal.waiting("Waiting", Promise.resolve(1)), 1);
  const failing = Promise.reject(new Error("no"));
  await assertRejects(() => terminal.waiting("Waiting", failing), Error, "no");
  assertEquals(err.text, "");
});

Deno.test("Terminal: a closed stdout throws, a closed stderr does not", () => {
  const terminal = new Terminal(new Broken(false), new Broken(false), true);
  terminal.print("x");
  assertThrows(() => terminal.flush(), OutputClosed);
  assertThrows(() => terminal.print("y"), OutputClosed);
  terminal.note("x");
  terminal.error("x");
});

Deno.test("Terminal.error: an error of the other end cannot change what a terminal shows", () => {
  const err = new Kept(true);
  const terminal = new Terminal(new Kept(false), err, true);
  terminal.error(new Error("remote: a\x1b[2J\n\x9b31m\u202eb"));
  terminal.error("/x\r\x1b]0;title\x07: c");
  assertEquals(
    err.text,
    "\x1b[31merror:\x1b[0m remote: a\\u001b[2J\\n\\u009b31m\\u202eb\n" +
      "\x1b[31merror:\x1b[0m /x\\r\\u001b]0;title\\u0007: c\n",
  );
});

Deno.test("Terminal.conceal: no error shows a secret, nor the credentials in it", () => {
  const err = new Kept(false);
  const terminal = new Terminal(new Kept(false), err, false);
  terminal.conceal("Bearer SECRET");
  terminal.conceal("1");
  terminal.error(new Error("no Bearer SECRET, nor SECRET in 1"));
  assertEquals(err.text, "error: no …, nor … in 1\n");
});

Deno.test("Terminal.error: it says what is wrong about TLS, once", () => {
  const err = new Kept(false);
  const terminal = new Terminal(new Kept(false), err, false);
  const cause = new TlsError("expired", "the certificate has expired");
  const lost = new Error("Connection is lost", { cause });
  terminal.error(new Error("Cannot call", { cause: lost }));
  terminal.error(new Error(`Cannot dial: ${cause.message}`, { cause }));
  assertEquals(
    err.text,
    "error: Cannot call: the certificate has expired\n" +
      "error: Cannot dial: the certificate has expired\n",
  );
});

Deno.test("Terminal.progress: what it shows is printable", () => {
  const err = new Kept(true);
  const terminal = new Terminal(new Kept(false), err, true);
  terminal.progress("Waiting for a\x1b[2J");
  assertEquals(err.text, "\r\x1b[2KWaiting for a\\u001b[2J");
});
