/**
 * What the search found, decoded at the largest size that is allowed.
 *
 * @module
 */
import type { Gene } from "./gene.ts";

/** What decoding took, or how the process ended that tried. */
export interface FullCost {
  ms: number;
  /** Bytes that the process grew by at its peak. */
  grown: number | undefined;
  /** Why there are no figures. */
  died?: string;
}

/** Milliseconds after which a process is ended. */
const PATIENCE = 60_000;
/** MiB of heap that it gets. */
const HEAP = 3_072;

/** Decodes a value in a process of its own. */
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
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
  const { code, signal, stdout } = await child.output();
  clearTimeout(timer);
  if (code === 0) return JSON.parse(new TextDecoder().decode(stdout));
  return { ms: Infinity, grown: undefined, died: signal ?? `code ${code}` };
}
