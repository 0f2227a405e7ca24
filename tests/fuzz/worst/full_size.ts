/**
 * Decodes what the search found at the largest permitted size.
 *
 * @module
 */
import type { Gene } from "./gene.ts";

/** The cost at full size, or how the process died. */
export interface FullCost {
  ms: number;
  /** Bytes that the process grew by at its peak. */
  grown: number | undefined;
  /** Why there are no figures. */
  died?: string;
}

/** Milliseconds after which the process is killed. */
const PATIENCE = 20_000;
/** The heap limit of the process in MiB. */
const HEAP = 3_072;

/** Decodes a value in a separate process. */
export async function decodeFullSize(
  codec: string,
  gene: Gene,
  size: number,
): Promise<FullCost> {
  const script = new URL("decode_once.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      `--v8-flags=--max-old-space-size=${HEAP}`,
      script,
      codec,
      JSON.stringify(gene),
      String(size),
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, PATIENCE);
  const { code, signal, stdout } = await child.output();
  clearTimeout(timer);
  if (code === 0) return JSON.parse(new TextDecoder().decode(stdout));
  const died = late ? `> ${PATIENCE / 1_000} s` : signal ?? `code ${code}`;
  return { ms: Infinity, grown: undefined, died };
}
