import { proxy as proxySessions, type Session } from "../../../mux/mod.ts";
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
  summary: "Forwards connections to one address to another address",
  usage: ["proxy LISTEN DIAL"],
  about:
    `Each connection to LISTEN gets its own connection to DIAL. Channels pass unread
in both directions, so the codec does not matter. The two addresses may have
different schemes, stdio: included.

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
    // Checked now, and not when the first session is accepted.
    await resolveAddress(to);
    const listener = await listenSession(from);
    const sessions = listener[Symbol.asyncIterator]();
    const serving = proxyAll(sessions, to, terminal);
    await runUntilStopped(
      listener,
      () => announceAddress(terminal, listener.addr, to),
    );
    const broken = await serving;
    return broken && listener.addr === "stdio:" ? EXIT.connection : EXIT.ok;
  },
});

/** Proxies all sessions; resolves to whether one of them failed. */
async function proxyAll(
  sessions: AsyncIterator<Session>,
  to: string,
  terminal: Terminal,
): Promise<boolean> {
  const running = new Set<Promise<void>>();
  let broken = false;
  for (;;) {
    const { done, value } = await sessions.next();
    if (done) break;
    const proxying = proxyTo(to, value).catch((error) => {
      broken = true;
      terminal.error(error);
    }).finally(() => running.delete(proxying));
    running.add(proxying);
  }
  await Promise.all(running);
  return broken;
}

/** Proxies a session and a new one to an address. */
async function proxyTo(to: string, session: Session): Promise<void> {
  const gone = new AbortController();
  const onEnd = () => gone.abort();
  session.closed.then(onEnd, onEnd);
  try {
    await proxySessions(
      session,
      await dialSession(to, { signal: gone.signal }),
    );
  } catch (error) {
    await session.close();
    // The session ended before the other one was made: that is no failure.
    if (error !== gone.signal.reason) throw error;
  }
}
