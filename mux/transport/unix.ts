import { connectWith, connListener, connTransport } from "./conn.ts";
import type { Scheme } from "./types.ts";

/** `unix:/path` or `unix:relative/path`. */
export const unix: Scheme = {
  async connect(rest, signal) {
    const path = parse(rest);
    const conn = await connectWith(
      Deno.connect({ transport: "unix", path }),
      signal,
    );
    return connTransport(conn);
  },
  listen(rest) {
    const path = parse(rest);
    const listener = Deno.listen({ transport: "unix", path });
    const accepting = connListener(listener, () => `unix:${path}`);
    let closed = false;
    return {
      ...accepting,
      close() {
        // The path may be somebody else's by the second time.
        if (closed) return;
        closed = true;
        accepting.close();
        // The socket's file outlives it otherwise, and the next one to listen
        // there would fail.
        try {
          Deno.removeSync(path);
        } catch {
          // Somebody else has removed it.
        }
      },
    };
  },
};

function parse(rest: string): string {
  const path = rest.startsWith("//") ? rest.slice(2) : rest;
  if (path === "") throw new SyntaxError("expected unix:/path");
  return path;
}
