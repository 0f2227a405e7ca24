/**
 * A process that may have few files:
 *
 *     sh -c 'ulimit -n 256; exec deno run -A tests/faults/few_files.ts MODE …'
 *
 * It prints a line of JSON for everything that happens.
 *
 * @module
 */
import {
  dial,
  dialCommand,
  handlerFrom,
  listen,
  type ListenOptions,
  TalkError,
} from "../../mod.ts";

// Deno prepares for signals when it first needs to, and panics without files.
const onSignal = () => {};
Deno.addSignalListener("SIGINT", onSignal);
Deno.removeSignalListener("SIGINT", onSignal);

const [mode, address = "", whenFull = "refuse"] = Deno.args;
const handler = handlerFrom({ ping: () => "pong" });

function say(what: Record<string, unknown>): void {
  console.log(JSON.stringify(what));
}

function describe(error: unknown): Record<string, unknown> {
  if (!(error instanceof TalkError)) return { other: String(error) };
  const { code, permanent, message } = error;
  return { code, permanent, message };
}

/** Takes all files that are left; returns what gives them back. */
function takeAll(): () => void {
  const taken: Deno.FsFile[] = [];
  try {
    for (;;) taken.push(Deno.openSync("/dev/null"));
  } catch {
    return () => taken.forEach((file) => file.close());
  }
}

/** What has to be closed. */
interface AsyncClosable {
  close(): Promise<void>;
}

async function attempt(
  name: string,
  make: () => AsyncClosable | Promise<AsyncClosable>,
): Promise<void> {
  try {
    await (await make()).close();
    say({ name, made: true });
  } catch (error) {
    say({ name, ...describe(error) });
  }
}

const modes: Record<string, () => Promise<void>> = {
  /** Listens until its standard input ends. */
  async listen() {
    const listener = await listen(address, {
      handler,
      maxSessions: 1_000,
      whenFull: whenFull as NonNullable<ListenOptions["whenFull"]>,
      onError: (error) => say({ error: describe(error) }),
    });
    listener.closed.then(() => say({ closed: true }), (error) => {
      say({ closed: String(error) });
    });
    say({ addr: listener.addr });
    for await (const _ of Deno.stdin.readable);
    await listener.close();
  },
  /** Dials and listens without files, and then with them. */
  async dial() {
    const listener = await listen("tcp://127.0.0.1:0", { handler });
    const wsAddress = listener.addr.replace("tcp:", "ws:");
    const missing = `unix:${address}`;
    // Deno itself fails if it has no file for a module.
    for (const known of [wsAddress, missing]) await dial(known).catch(() => {});
    await (await listen("ws://127.0.0.1:0")).close();
    const give = takeAll();
    for (const known of [listener.addr, wsAddress, missing]) {
      await attempt("dial", () => dial(known));
      const free = known.replace(/\d+$/, "0");
      await attempt("listen", () => listen(free));
    }
    const pipes = { stdin: "piped", stdout: "piped" } as const;
    const command = new Deno.Command("true", pipes);
    await attempt("dialCommand", () => dialCommand(command));
    give();
    const peer = await dial(listener.addr);
    say({ answer: await peer.call("ping") });
    await peer.close();
    await listener.close();
  },
};

await modes[mode!]!();
