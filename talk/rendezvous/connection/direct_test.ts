import { assertEquals, assertRejects } from "@std/assert";
import { runtimeQuic } from "../../../tests/support/quic.ts";
import { makeIdentity } from "../../../tests/support/identities.ts";
import type {
  QuicConnLike,
  QuicEndpointLike,
} from "../../../mux/internal_deno.ts";
import { dialDirectly } from "./direct.ts";
import { loadIdentity } from "../identity.ts";

Deno.test("dialDirectly(): a connection that is made in the turn in which it gives up is closed", async () => {
  const runtime = runtimeQuic() as { connectQuic: unknown };
  const { connectQuic } = runtime;
  const identity = loadIdentity(await makeIdentity("ann"));
  try {
    // Whichever of the two is first, and however close they are.
    for (let steps = -10; steps <= 10; steps++) {
      const connecting = Promise.withResolvers<QuicConnLike>();
      runtime.connectQuic = () => connecting.promise;
      const stop = new AbortController();
      const reason = new Error("enough");
      const dialing = dialDirectly({
        socket: {} as QuicEndpointLike,
        places: {
          seen: { hostname: "127.0.0.1", port: 1 },
          local: [],
          delay: 0,
        },
        fingerprint: identity.fingerprint,
        identity,
        timeout: Infinity,
        session: {},
        signal: stop.signal,
      });
      let closed = 0;
      const connect = () =>
        connecting.resolve({
          close: () => void closed++,
          createBidirectionalStream: () => new Promise(() => {}),
        } as unknown as QuicConnLike);
      const giveUp = () => stop.abort(reason);
      const [first, second] = steps < 0 ? [giveUp, connect] : [connect, giveUp];
      first();
      for (let i = 0; i < Math.abs(steps); i++) await undefined;
      second();
      assertEquals(await assertRejects(() => dialing), reason);
      for (let i = 0; i < 20; i++) await undefined;
      assertEquals(closed, 1, `${steps} steps`);
    }
  } finally {
    runtime.connectQuic = connectQuic;
  }
});
