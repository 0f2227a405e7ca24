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
        // By the second call, another listener may use the path.
        if (closed) return;
        closed = true;
        accepting.close();
        // The socket's file would remain, and the next listener would fail.
        try {
          Deno.removeSync(path);
        } catch {
          // It has been removed already.
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
