import type { TlsListenOptions } from "../../../mux/internal.ts";
import type { ListenSecurity } from "./connection_security.ts";

/**
 * What `listen()` gets so that it reads the files of a certificate again when one of
 * them has changed.
 */
export function changingFiles({ tls, ...others }: ListenSecurity) {
  return { ...others, ...tls !== undefined && { tls: renewed(tls) } };
}

/** The options, as a new object when one of their files has changed. */
function renewed(tls: TlsListenOptions): () => TlsListenOptions {
  const paths = [tls.ca ?? [], tls.cert, tls.key].flat(2);
  let options = tls;
  let known = stateOf(paths);
  return () => {
    const state = stateOf(paths);
    if (state !== known) options = { ...tls };
    known = state;
    return options;
  };
}

/** A text that changes when a file is replaced or written. */
function stateOf(paths: readonly (string | URL)[]): string {
  return paths.map((path) => {
    try {
      const { ino, mtime, size } = Deno.statSync(path);
      return `${ino} ${mtime?.getTime()} ${size}`;
    } catch {
      // It is being replaced, or cannot be read; reading it says what is wrong.
      return "";
    }
  }).join();
}
