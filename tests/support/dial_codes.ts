/**
 * Dials each address without options, reconnecting, and prints what came of it as
 * JSON: the code of the cause, and how often it has connected. It calls `end` where
 * it succeeds, after which the connection is to end.
 *
 *     deno run --allow-net --cert=CA tests/support/dial_codes.ts ADDRESS…
 *
 * @module
 */
import { dial } from "@qtalk/qtalk";

const outcomes = [];
for (const address of Deno.args) {
  let attempts = 0;
  let code: unknown;
  try {
    await using peer = await dial(address, {
      reconnect: {
        maxAttempts: 2,
        minDelay: 1,
        onState: ({ name }) => void (name === "connecting" && attempts++),
      },
    });
    await peer.connected();
  } catch (error) {
    code = codeOf(error);
  }
  if (code === undefined) {
    const peer = await dial(address);
    void peer.call("end").catch(() => {});
    code = await peer.closed.then(() => "ended", codeOf);
  }
  outcomes.push([code, attempts]);
}
console.log(JSON.stringify(outcomes));

function codeOf(error: unknown): unknown {
  const { cause, message } = error as Error;
  return (cause as { code?: string } | undefined)?.code ?? message;
}
