/**
 * The model tests of `tests/property`: each round runs them in a process with a
 * seed of its own.
 *
 * @module
 */
import type { Target } from "./target.ts";

const FOLDER = new URL("../property/", import.meta.url).pathname;

/** Model tests of sessions, chunks and late frames. */
export const models: Target = {
  name: "models",
  async round(random) {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", "--quiet", FOLDER],
      env: { QTALK_SEED: String(random.seed), NO_COLOR: "1" },
    }).output();
    if (code === 0) return;
    const decoder = new TextDecoder();
    throw new Error(decoder.decode(stdout) + decoder.decode(stderr));
  },
};
