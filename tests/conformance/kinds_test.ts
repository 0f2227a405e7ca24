// The kinds of connections that both suites must run for, whatever file does it.

import { assert } from "@std/assert";

/** The name in the tests of sessions, and those in the tests of transports. */
const KINDS: Record<string, string[]> = {
  "memory": ["memoryTransports"],
  "TCP": ["tcp"],
  "a Unix socket": ["unix"],
  "stdio": ["stdio transport"],
  "a child process": ["child process transport"],
  "WebSocket": [
    "webSocketScheme, client",
    "webSocketScheme, server",
  ],
  "the runtime's own WebSocket": [
    "dialNative",
  ],
  "a MessagePort": ["messagePortTransport"],
  "a Worker": ["Worker transport"],
  "web streams": ["duplexTransport"],
};

/** The names under which the suites are registered in a folder's tests. */
function registered(folder: string): string[] {
  const url = new URL(folder, import.meta.url);
  return [...Deno.readDirSync(url)]
    .filter(({ name }) => name.endsWith("_test.ts"))
    .flatMap(({ name }) => {
      const source = Deno.readTextFileSync(new URL(name, url));
      const calls = source.matchAll(
        /^(?:testSession|testPreparedRpc|testTransport|registerSuite)\(\s*"([^"]+)"/gm,
      );
      return [...calls].map(([, subject]) => subject!);
    });
}

const subjects = new Set([
  ...registered("./"),
  ...registered("../../mux/transport/"),
  ...registered("../../mux/transport/deno/"),
  ...registered("../../mux/transport/message/"),
  ...registered("../../mux/transport/websocket/"),
]);

/** Kinds of sessions that are not over a byte stream, so that there is no transport. */
const SESSIONS = ["session over QUIC", "session over QUIC without frames"];

for (const kind of SESSIONS) {
  Deno.test(`conformance: ${kind} goes through the suites of sessions and of RPC`, () => {
    assert(subjects.has(kind), `there is no "${kind}"`);
    const rpc = kind.replace("session", "RPC");
    assert(subjects.has(rpc), `there is no "${rpc}"`);
  });
}

Deno.test("conformance: TLS goes through the suite of sessions, with WebSocket and without", () => {
  for (const kind of ["TLS", "WebSocket over TLS"]) {
    assert(subjects.has(`session over ${kind}`), `there is no "${kind}"`);
  }
});

for (const [kind, transports] of Object.entries(KINDS)) {
  Deno.test(`conformance: ${kind} goes through the suites of sessions and of transports`, () => {
    for (const subject of [`session over ${kind}`, ...transports]) {
      assert(subjects.has(subject), `there is no "${subject}"`);
    }
  });
}
