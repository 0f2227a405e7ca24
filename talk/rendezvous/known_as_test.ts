import { assertEquals } from "@std/assert";
import {
  checkIdentities,
  identitiesIn,
  isKnownAs,
  knownAs,
} from "./known_as.ts";

const PIN = `sha256:${"ab".repeat(32)}`;
const OTHER = `sha256:${"cd".repeat(32)}`;

Deno.test("knownAs(): it is the pinned certificates, or else the host", () => {
  for (
    const [address, tls, expected] of [
      ["quic://meet.example:4433", undefined, "meet.example"],
      ["QUIC://Meet.Example.:4433", {}, "meet.example"],
      ["wss://user:pass@meet.example/path?x#y", {}, "meet.example"],
      ["wt://meet.example:4433/path", {}, "meet.example"],
      ["tcp://127.0.0.1:1", {}, "127.0.0.1"],
      ["tls://[0:0::1]:1", {}, "[::1]"],
      ["tls://192.0.2.1:1", { serverName: "Meet.example" }, "meet.example"],
      ["tls://meet.example:1", { pin: PIN.toUpperCase() }, PIN],
      ["tls://meet.example:1", { pin: [PIN, OTHER] }, `${PIN},${OTHER}`],
      ["tls://meet.example:1", { pin: [] }, "meet.example"],
      ["unix:///run/meet.sock", {}, ""],
      ["stdio:", {}, ""],
    ] as const
  ) assertEquals(knownAs(address, tls), expected, address);
});

Deno.test("isKnownAs(): hosts and fingerprints of a certificate", () => {
  const identities = identitiesIn({
    subject: "CN=other.example",
    names: [
      "DNS:Meet.example",
      "DNS:*.wild.example",
      "IP:0:0:0:0:0:0:0:1",
      "IP:192.0.2.1",
      "email:ann@mail.example",
    ],
    fingerprint: PIN,
    validFrom: new Date(0),
    validTo: new Date(0),
  });
  for (
    const [text, expected] of [
      ["meet.example", true],
      ["a.wild.example", true],
      ["a.b.wild.example", false],
      ["wild.example", false],
      [".wild.example", false],
      ["[::1]", true],
      ["192.0.2.1", true],
      ["192.0.2.2", false],
      ["other.example", false],
      ["mail.example", false],
      [PIN, true],
      [OTHER, false],
      [`${OTHER},${PIN}`, true],
      ["", false],
      [",", false],
    ] as const
  ) assertEquals(isKnownAs(text, identities), expected, text);
});

Deno.test("isKnownAs(): a wildcard is for names with exactly one more label", () => {
  assertEquals(isKnownAs("a.example", ["*.example"]), true);
  assertEquals(isKnownAs("example", ["*.example"]), false);
  assertEquals(isKnownAs("", ["*.example"]), false);
});

Deno.test("checkIdentities(): hosts and fingerprints get the form in which peers send them", () => {
  assertEquals(
    checkIdentities(["Meet.example.", "::1", "[::1]", PIN.toUpperCase()]),
    ["meet.example", "[::1]", "[::1]", PIN],
  );
  assertEquals(checkIdentities(undefined), undefined);
});
