// The short form of `deno task network`: the same with less patience.

import { CASES, type Conditions } from "./vanishing.ts";

const CONDITIONS: Conditions = {
  keepAlive: { interval: 500, timeout: 4_000 },
  isDefault: false,
  computing: 2_000,
  limit: 20_000,
};

/** The cases of each test, which run at the same time. */
const TESTS: Record<string, string[]> = {
  "keepalive: ends that vanish are noticed": [
    "a server that is stopped, tcp, idle",
    "a server that is stopped, ws, under load",
    "a server that is stopped, unix, idle",
    "a server that is stopped, stdio, under load",
    "a client that is stopped, http, idle",
    "a client that is stopped, wss, under load",
    "a relay that takes nothing any more, ws, idle",
    "a server that is stopped before it was called, ws",
    "a client that is stopped before it has called, http",
    "a reconnecting peer whose server is stopped for a while",
    "a relay that drops everything, tcp, under load",
  ],
  "keepalive: an end at a cable that is pulled is noticed": [
    "a cable that is pulled, tcp, idle",
    "a cable that is pulled, ws, under load",
  ],
  "keepalive: ends that are only slow are not taken for lost": [
    "a server that computes, tcp",
    "a server that computes, stdio",
    "a client that computes, http",
    "a reader that takes nothing, tcp",
    "a reader that takes nothing, ws",
  ],
};

for (const [name, names] of Object.entries(TESTS)) {
  const cases = names.map((name) => CASES.find((one) => one.name === name)!);
  Deno.test({
    name,
    ignore: Deno.build.os === "windows" ||
      cases.some(({ skipped }) => skipped !== undefined),
    async fn() {
      const outcomes = await Promise.allSettled(
        cases.map(({ run }) => run(CONDITIONS)),
      );
      const failures = outcomes.flatMap((outcome, i) =>
        outcome.status === "rejected" ? [`${names[i]}: ${outcome.reason}`] : []
      );
      if (failures.length > 0) throw new Error(failures.join("\n"));
    },
  });
}
