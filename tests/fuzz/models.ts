/**
 * The models of `tests/property`, with one seed after another: each round is a
 * process that runs them.
 *
 * @module
 */
import type { Target } from "./target.ts";

const FOLDER = new URL("../property/", import.meta.url).pathname;

/** Sessions beside their model, chunks in any size, frames out of order. */
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
