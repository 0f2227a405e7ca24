import { listeningPair } from "./listening_pair.ts";
import { testSession } from "./session_suite.ts";

testSession("session over a Unix socket", async (options) => {
  const directory = await Deno.makeTempDir();
  const pair = await listeningPair(`unix:${directory}/socket`)(options);
  return {
    ...pair,
    async close() {
      await pair.close();
      await Deno.remove(directory, { recursive: true });
    },
  };
});
