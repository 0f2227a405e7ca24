/**
 * A child process for tests of stdio, well-behaved or not:
 *
 *     deno run -A tests/support/child.ts MODE [FILE]
 *
 * @module
 */
import { dial, handlerFrom, listen, withCall } from "@qtalk/qtalk";
import { confirm } from "./wire.ts";

const [mode, file] = Deno.args;

function note(text: string): void {
  Deno.writeTextFileSync(file!, text, { append: true });
}

const service = {
  pid: () => Deno.pid,
  echo: (value: unknown) => value,
  ask: withCall((call, question: string) => call.caller.call(question)),
  exit: (code: number) => Deno.exit(code),
};

/** Keeps the process alive whatever happens to its streams. */
function stay(): void {
  setInterval(() => {}, 1_000);
}

const modes: Record<string, () => Promise<void>> = {
  /** Answers calls until its standard input ends. */
  async serve() {
    await using peer = await dial("stdio:", { handler: handlerFrom(service) });
    await peer.closed;
    if (file !== undefined) note("left by itself");
  },
  /** The same, as a listener that is asked about its only connection. */
  async listener() {
    await using listener = await listen("stdio:", {
      handler: handlerFrom(service),
      accept: ({ remoteAddr }) => Promise.resolve(remoteAddr === "stdio:"),
    });
    await listener.closed;
    if (file !== undefined) note("left by itself");
  },
  /** Answers calls, and closes the conversation when it is asked to. */
  async closer() {
    const leave = Promise.withResolvers<void>();
    const peer = await dial("stdio:", {
      handler: handlerFrom({ ...service, leave: () => leave.resolve() }),
    });
    await leave.promise;
    await peer.close();
  },
  /**
   * Closes the conversation before anybody has said a word, with weeks of time
   * for the other end to do the same.
   */
  async brief() {
    const session = { closeTimeout: 2 ** 31 - 1 };
    const peer = await dial("stdio:", { session });
    await peer.close();
  },
  /** Answers calls, then stays until it is terminated. */
  async lingerer() {
    Deno.addSignalListener("SIGTERM", () => {
      note("terminated");
      Deno.exit(0);
    });
    stay();
    await dial("stdio:", { handler: handlerFrom(service) });
  },
  /** Answers calls, then stays whatever it is told. */
  async stubborn() {
    Deno.addSignalListener("SIGTERM", () => note("not terminated"));
    stay();
    await dial("stdio:", { handler: handlerFrom(service) });
  },
  /** Accepts a channel with a window that it never reads. */
  async stuck() {
    await Deno.stdin.read(new Uint8Array(1_024));
    await Deno.stdout.write(confirm(0, 0));
    note(String(Deno.pid));
    stay();
  },
  /** Says what is no qmux. */
  async garbage() {
    await Deno.stdout.write(new TextEncoder().encode("hello world\n"));
  },
};

await modes[mode!]!();
