// The table of addresses in docs/transports.md: every scheme has a row, and its
// permissions are enough and the least that are. The table of `dial()` has the
// same.

import { assert, assertEquals } from "@std/assert";
import { listen } from "@qtalk/qtalk";
import { SCHEME_NAMES } from "../mux/internal.ts";
import { code, read, section, table } from "./support/docs.ts";
import { loopbackCertificate } from "./support/quic.ts";

const ROWS = table(
  section(read("docs/transports.md"), "Addresses and permissions"),
);
const PROBE = new URL("support/address_probe.ts", import.meta.url).href;

/** The flags in a cell. */
function flagsIn(cell: string): string[] {
  return cell === "none" ? [] : code(cell).split(" ");
}

/** Runs the probe; gives what dialing and listening came to. */
async function probe(
  flags: readonly string[],
  dialed: string,
  listened: string,
): Promise<(string | null)[]> {
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...flags, PROBE, dialed, listened],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stderr);
  const [line] = text.trimEnd().split("\n").slice(-1);
  return JSON.parse(line!);
}

/** What is put in place of the host and port, or the path, of a row. */
interface Places {
  /** For dialing, where something listens. */
  readonly dialed: string;
  /** For listening. */
  readonly listened: string;
}

/** An address, or a flag, of the table at a place. */
function at(text: string, place: string): string {
  return text
    .replaceAll(/host:port/g, place)
    .replaceAll(/(?<=unix:|=)\/path/g, place);
}

/** Starts what is dialed, and says which places the probe gets. */
async function placesFor(
  scheme: string,
  directory: string,
): Promise<Places & AsyncDisposable> {
  if (scheme === "stdio") {
    return {
      dialed: "",
      listened: "",
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const isUnix = scheme === "unix";
  // A server without TLS fails the handshake, which needs the same permissions. Over
  // QUIC it would not answer at all, so one with an unknown certificate is used: that
  // fails at once.
  const isQuic = scheme === "quic" || scheme === "wt";
  const listener = await listen(
    isUnix
      ? `unix:${directory}/dialed`
      : scheme === "ws"
      ? "ws://127.0.0.1:0/path"
      : isQuic
      ? `${scheme}://127.0.0.1:0${scheme === "wt" ? "/path" : ""}`
      : "tcp://127.0.0.1:0",
    isQuic ? { tls: await loopbackCertificate() } : {},
  );
  const [, place] = isUnix
    ? [undefined, `${directory}/dialed`]
    : /\/\/([^/]+)/.exec(listener.addr)!;
  return {
    dialed: place!,
    listened: isUnix ? `${directory}/listened` : "127.0.0.1:0",
    [Symbol.asyncDispose]: () => listener.close(),
  };
}

Deno.test("addresses: the table has a row for every scheme", () => {
  const schemes = ROWS.map((row) => code(row["address"]!).split(":")[0]!);
  assertEquals(schemes.sort(), [...SCHEME_NAMES].sort());
});

Deno.test("addresses: the table of dial() has the permissions of docs/transports.md", () => {
  const comments = read("talk/dial/dial.ts").replaceAll(/^ \* ?/gm, "");
  const rows = table(comments);
  const documented = new Map(
    ROWS.map((row) => [
      code(row["address"]!).split(":")[0],
      row["permissions"],
    ]),
  );
  assert(rows.length > 0);
  for (const row of rows) {
    const addresses = [...row["address"]!.matchAll(/`(\w+):[^`]*`/g)];
    assert(addresses.length > 0, row["address"]);
    for (const [, scheme] of addresses) {
      assertEquals(row["permissions"], documented.get(scheme), scheme);
    }
  }
});

for (const row of ROWS) {
  const address = code(row["address"]!);
  const scheme = address.split(":")[0]!;
  // Windows alone has named pipes, and what they need there is not known.
  if (scheme === "pipe") continue;
  const isSecure = ["tls", "wss", "quic", "wt"].includes(scheme);
  Deno.test({
    name:
      `addresses: ${address} needs the permissions of its row, and no others`,
    ignore: scheme === "unix" && Deno.build.os === "windows",
    async fn() {
      const directory = await Deno.makeTempDir({ prefix: "qtalk_" });
      try {
        await using places = await placesFor(scheme, directory);
        const { dialed, listened } = places;
        const [dialedAddress, listenedAddress] = scheme === "stdio"
          ? [address, ""]
          : [
            at(address, dialed),
            // The probe has no certificate to listen with.
            isSecure ? "" : at(address, listened),
          ];
        const flags = flagsIn(row["permissions"]!).map((flag) => [
          at(flag, dialed),
          at(flag, listened),
        ]);
        const run = (flags: string[][]) =>
          probe(flags.flat(), dialedAddress, listenedAddress);

        const outcomes = await run(flags);
        for (const outcome of outcomes) {
          assert(!outcome?.includes("NotCapable"), `${flags}: ${outcome}`);
          assert(outcome === null || outcome === "ok" || isSecure);
        }
        for (const [i, left] of flags.entries()) {
          const without = await run(flags.toSpliced(i, 1));
          assert(
            without.some((outcome) => outcome?.includes("NotCapable")),
            `it works without ${left}: ${without}`,
          );
        }
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
    },
  });
}
