// IPv6 addresses, over every transport that has addresses with a host.

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  dial,
  handlerFrom,
  listen,
  type Peer,
  TalkError,
  type TlsDialOptions,
  type TlsListenOptions,
} from "@qtalk/qtalk";
import { makeAuthority } from "../../tests/support/certificates.ts";
import { test } from "../../tests/support/harness.ts";

const ca = await makeAuthority("test authority");
const { cert, key } = await ca.issue("CN=server", {
  names: ["::1"],
});
const handler = handlerFrom({ echo: (value: unknown) => value });

/** Whether this machine has IPv6 addresses. */
const isAvailable = (() => {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
})();

const authenticated = { client: { ca: ca.cert }, server: { cert, key } };

/** What is special about each transport. */
const TRANSPORTS: Record<string, {
  path?: string;
  client?: TlsDialOptions;
  server?: TlsListenOptions;
}> = {
  tcp: {},
  ws: { path: "/rpc" },
  tls: authenticated,
  wss: { path: "/rpc", ...authenticated },
  quic: authenticated,
};

for (const [scheme, options] of Object.entries(TRANSPORTS)) {
  const { path = "", client, server } = options;
  test(`IPv6: ${scheme}: dial() and listen() take addresses in brackets`, {
    ignore: !isAvailable,
  }, async (t) => {
    const accepted = Promise.withResolvers<Peer>();
    const listener = t.watch(
      await listen(`${scheme}://[::1]:0${path}`, {
        handler,
        onPeer: accepted.resolve,
        ...server && { tls: server },
      }),
    );
    assertMatch(listener.addr, /^\w+:\/\/\[::1\]:[1-9]\d*(?:\/rpc)?$/);
    // The host in its shortest form, and written out.
    for (const host of ["[::1]", "[0:0:0:0:0:0:0:1]"]) {
      const address = listener.addr.replace("[::1]", host);
      const peer = t.watch(
        await dial(address, { ...client && { tls: client } }),
      );
      assertEquals(await peer.call("echo", ["hello"]), "hello");
    }
    assertMatch((await accepted.promise).remoteAddr, /\[::1\]:[1-9]\d*$/);
  });
}

test(
  "IPv6: wt: the error of dial() in Deno says what works, and nothing is tried again",
  {
    ignore: !isAvailable,
  },
  async (t) => {
    const listener = t.watch(
      await listen("wt://[::1]:0/rpc", { handler, tls: { cert, key } }),
    );
    assertMatch(listener.addr, /^wt:\/\/\[::1\]:[1-9]\d*\/rpc$/);
    const error = await assertRejects(
      () => dial(listener.addr, { reconnect: {} }),
      TalkError,
      "Deno's WebTransport takes no address of IPv6; use a name, or quic:",
    );
    assertEquals([error.code, error.permanent], ["dial-failed", true]);
  },
);
