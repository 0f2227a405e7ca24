import { assertEquals } from "@std/assert";
import { localFrom, placesFrom } from "./wire.ts";

/** Those among the hosts that are used as places in a peer's own networks. */
function used(hosts: readonly unknown[]): string[] {
  return hosts.flatMap((hostname) => localFrom([{ hostname, port: 1 }]))
    .map(({ hostname }) => hostname);
}

Deno.test("localFrom(): private and link-local addresses are used", () => {
  const hosts = [
    "10.0.0.1",
    "10.255.255.254",
    "172.16.0.1",
    "172.31.0.1",
    "192.168.1.20",
    "169.254.3.4",
    "fd00::1",
    "FC12:3456::ab",
    "fd00::10.0.0.1",
  ];
  assertEquals(used(hosts), hosts);
});

Deno.test("localFrom(): other addresses, and what is no address, are not used", () => {
  const hosts = [
    "8.8.8.8",
    "11.0.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.169.0.1",
    "127.0.0.1",
    "0.0.0.0",
    "::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    // Names, which could lead to any address.
    "10.cafe.de",
    "192.168.fade.cc",
    "172.16.ad.ae",
    "169.254.be",
    "10.",
    "10.1",
    "10.0.0.256",
    "10.999.0.1",
    "10.0.0.01",
    "10.0.0.1.",
    "10.0.0.1.5",
    "10.0.0.1\n",
    "fd00:",
    "fd00:1:2:3:4:5:6:7:8",
    "fd00::1::2",
    "fd00::1%eth0",
    "fd00::1]/[",
    "",
    "localhost",
    10,
    null,
    ["10.0.0.1"],
  ];
  assertEquals(used(hosts), []);
});

Deno.test("placesFrom(): what is malformed is left out", () => {
  const good = { hostname: "192.0.2.1", port: 4433 };
  assertEquals(placesFrom({ seen: good, local: [], delay: 5 }), {
    seen: good,
    local: [],
    delay: 5,
  });
  const nothing = { seen: null, local: [], delay: 0 };
  for (
    const value of [
      undefined,
      null,
      "x",
      [],
      { seen: { hostname: "cafe.de", port: 1 } },
      { seen: { hostname: "192.0.2.1", port: 0 } },
      { seen: { hostname: "192.0.2.1", port: 65_536 } },
      { seen: { hostname: "192.0.2.1", port: "1" } },
      { seen: [], local: {}, delay: -1 },
      { local: [null, 1, "x", { hostname: "10.0.0.1" }], delay: NaN },
    ]
  ) assertEquals(placesFrom(value), nothing);
  assertEquals(placesFrom({ delay: 1e9 }).delay, 1_000);
});
