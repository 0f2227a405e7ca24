import "../../internal.ts"; // Keeps bundles in few chunks.
import { untilAborted } from "../../../time_limit.ts";
import { parsePath } from "../address_forms.ts";
import { connListener, connTransport } from "./conn.ts";
import { beforeProcessEnds } from "./process_end.ts";
import { ownFile, replaceSocket } from "../socket_file.ts";
import type { Transport } from "../../types.ts";
import type { Scheme, TransportListener } from "../types.ts";

/**
 * `unix:/path` or `unix:relative/path` in Deno. On Linux, a path that begins with a zero
 * character is a name without a file.
 */
export const unix = {
  async connect(rest: string, signal: AbortSignal): Promise<Transport> {
    const path = parsePath("unix", rest);
    const conn = await untilAborted(
      Deno.connect({ transport: "unix", path }),
      signal,
    );
    return connTransport(conn);
  },
  listen(rest: string): TransportListener {
    return listenAt(parsePath("unix", rest));
  },
  async takeOver(rest: string): Promise<TransportListener> {
    const path = parsePath("unix", rest);
    if (hasFile(path)) return await replaceSocket(path, () => listenAt(path));
    throw new Deno.errors.AddrInUse("another listener serves this socket");
  },
} satisfies Scheme;

function listenAt(path: string): TransportListener {
  const listener = Deno.listen({ transport: "unix", path });
  const accepting = connListener(listener, () => `unix:${path}`);
  if (!hasFile(path)) return accepting;
  const file = ownFile(path);
  const forget = beforeProcessEnds(() => file.remove());
  let pending = 0;
  /** Called when Deno has closed the socket. */
  let cleanUp: (() => void) | undefined;
  return {
    ...accepting,
    async accept() {
      pending++;
      try {
        return await accepting.accept();
      } finally {
        pending--;
        // Deno closes the socket when no call waits for a client any more, and
        // then removes whatever has the name of the file. Until then, no other
        // listener may take the path.
        if (pending === 0) cleanUp?.();
      }
    },
    close() {
      if (cleanUp !== undefined) return;
      const giveBack = file.keepOther();
      cleanUp = () => {
        giveBack();
        file.remove();
      };
      accepting.close();
      forget();
      if (pending === 0) cleanUp();
    },
  };
}

function hasFile(path: string): boolean {
  return !path.startsWith("\0");
}
