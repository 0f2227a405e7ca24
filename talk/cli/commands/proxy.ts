import { proxy as joinSessions, type Session } from "../../../mux/internal.ts";
import { dialSession } from "../../dial.ts";
import { listenSession } from "../../listen.ts";
import { resolveAddress } from "../../address.ts";
import { defineCommand } from "../command.ts";
import { EXIT, UsageError } from "../exit_code.ts";
import { announceAddress, runUntilStopped } from "../run_until_stopped.ts";
import type { Terminal } from "../terminal.ts";

/** `qtalk proxy`. */
export const proxy = defineCommand({
  name: "proxy",
  summary: "Passes everything said at one address on to another",
  usage: ["proxy LISTEN DIAL"],
  about:
    `Each connection to LISTEN gets one of its own to DIAL. Channels are passed on
unread, in both directions, so the codec does not matter, and what streams here
streams there. The two addresses may be of different kinds: stdio: is one too.

  qtalk proxy ws://127.0.0.1:8080/ unix:/run/math.sock
  ssh host qtalk proxy stdio: tcp://127.0.0.1:9999`,
  options: {},
  async run({ words, terminal }) {
    const [from, to, ...others] = words;
    if (from === undefined || to === undefined || others.length > 0) {
      throw new UsageError(
        `Cannot proxy: expected two addresses, got ${words.length}`,
      );
    }
    // A mistake in it should not wait for the first connection.
    await resolveAddress(to);
    // On stdio, the only connection is there before anybody could iterate.
    const ready = Promise.withResolvers<boolean>();
    const listener = await listenSession(from, { accept: () => ready.promise });
    const sessions = listener[Symbol.asyncIterator]();
    ready.resolve(true);
    const serving = serveAll(sessions, to, terminal);
    await runUntilStopped(
      listener,
      () => announceAddress(terminal, listener.addr, to),
    );
    const broken = await serving;
    return broken && listener.addr === "stdio:" ? EXIT.connection : EXIT.ok;
  },
});

/** Passes on all sessions; resolves to whether one of them broke. */
async function serveAll(
  sessions: AsyncIterator<Session>,
  to: string,
  terminal: Terminal,
): Promise<boolean> {
  const running = new Set<Promise<void>>();
  let broken = false;
  for (;;) {
    const { done, value } = await sessions.next();
    if (done) break;
    const passing = passOn(value, to).catch((error) => {
      broken = true;
      terminal.error(error);
    }).finally(() => running.delete(passing));
    running.add(passing);
  }
  await Promise.all(running);
  return broken;
}

async function passOn(session: Session, to: string): Promise<void> {
  const gone = new AbortController();
  const onEnd = () => gone.abort();
  session.closed.then(onEnd, onEnd);
  try {
    await joinSessions(session, await dialSession(to, { signal: gone.signal }));
  } catch (error) {
    await session.close();
    // It was left before there was anything to pass on.
    if (error !== gone.signal.reason) throw error;
  }
}
