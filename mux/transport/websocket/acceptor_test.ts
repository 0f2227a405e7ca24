import { assertEquals, assertThrows } from "@std/assert";
import { type UpgradeOptions, webSocketAcceptor } from "./acceptor.ts";

/** The options that an upgrade passes to Deno. */
async function optionsOfUpgrade(
  options: UpgradeOptions,
): Promise<Deno.UpgradeWebSocketOptions | undefined> {
  const { upgradeWebSocket } = Deno;
  let seen: Deno.UpgradeWebSocketOptions | undefined;
  Deno.upgradeWebSocket = (_request, options) => {
    seen = options;
    throw new TypeError("not upgraded");
  };
  try {
    const acceptor = webSocketAcceptor("ws://example.com/", options);
    const headers = { upgrade: "websocket" };
    const request = new Request("http://example.com/", { headers });
    assertEquals((await acceptor.handle(request)).status, 400);
  } finally {
    Deno.upgradeWebSocket = upgradeWebSocket;
  }
  return seen;
}

Deno.test("webSocketAcceptor: idleTimeout is rounded up to whole seconds", async () => {
  const cases = [
    [0, 0],
    [1, 1],
    [1_000, 1],
    [1_001, 2],
    [30_000, 30],
    [2 ** 31 - 1, 2_147_484],
  ] as const;
  for (const [milliseconds, seconds] of cases) {
    assertEquals(
      await optionsOfUpgrade({ idleTimeout: milliseconds }),
      { idleTimeout: seconds },
    );
  }
});

Deno.test("webSocketAcceptor: every option accepts undefined as its default", async () => {
  const options: Required<UpgradeOptions> = {
    path: undefined,
    origins: undefined,
    hosts: undefined,
    authenticate: undefined,
    protocols: undefined,
    idleTimeout: undefined,
    fallback: undefined,
  };
  assertEquals(await optionsOfUpgrade(options), {});
});

Deno.test("webSocketAcceptor: an idleTimeout out of range is a RangeError", () => {
  for (const idleTimeout of [-1, 0.5, NaN, Infinity, 2 ** 31]) {
    assertThrows(
      () => webSocketAcceptor("ws://example.com/", { idleTimeout }),
      RangeError,
      `Cannot use option "idleTimeout": ${idleTimeout} is not an integer from 0`,
    );
  }
});
