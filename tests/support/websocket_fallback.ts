/**
 * Dials `wss:` where `Deno.startTls()` fails as its argument says, calls a method, and
 * prints each state:
 *
 *     deno run --allow-net --cert=CA tests/support/websocket_fallback.ts ADDRESS missing|NotSupported|…
 *
 * @module
 */
import { dial } from "@qtalk/qtalk";

const [address, how] = Deno.args as [string, string];
if (how === "missing") {
  Reflect.deleteProperty(Deno, "startTls");
} else if (how !== "none") {
  const errors = Deno.errors as unknown as Record<string, typeof Error>;
  Object.assign(Deno, {
    startTls: () => {
      throw new errors[how]!("not here");
    },
  });
}

const states: string[] = [];
try {
  await using peer = await dial(address, {
    reconnect: {
      maxAttempts: 1,
      onState(state) {
        const fallback = state.name === "connecting" && state.fallback;
        states.push(
          fallback instanceof Error
            ? `${state.name} after ${fallback.name}`
            : state.name,
        );
      },
    },
  });
  states.push(`${await peer.call("echo", [1])}`);
} catch (error) {
  states.push((error as { code: string }).code);
}
console.log(states.join("\n"));
