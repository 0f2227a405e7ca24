/**
 * Either end of the interop tests, for Node and Bun, and for Deno over TLS.
 *
 *     program.mjs serve tcp|ws|stdio
 *     program.mjs serve unix PATH
 *     program.mjs client tcp|unix|ws ADDRESS CASE…
 *     program.mjs client exec CASE… -- COMMAND…
 *     program.mjs refused ws ADDRESS
 *     program.mjs --certificates=DIRECTORY serve tls|wss
 *     program.mjs --certificates=DIRECTORY client tls|wss ADDRESS CASE…
 *
 * A server prints "listening HOST:PORT" or "listening PATH". A client prints a
 * line of JSON for each case; one that is refused, the code of its error.
 *
 * @module
 */
import process from "node:process";
import { dial, dialCommand, listen, type Peer } from "@qtalk/qtalk";
import { CASES } from "../interop/cases.ts";
import { EXTENDED, extendedCase } from "../interop/extended_cases.ts";
import type { CaseName } from "../interop/names.ts";
import { interopService, MAX_VALUE_SIZE } from "../interop/service.ts";

const words = process.argv.slice(2);
const directory = /^--certificates=(.*)/.exec(words[0]!)?.[1];
if (directory !== undefined) words.shift();
const [mode, transport, ...rest] = words;
const options = {
  handler: interopService(),
  maxValueSize: MAX_VALUE_SIZE,
  onError(error: unknown, { selector }: { selector: string | undefined }) {
    // Whoever waits for the other end to die is not surprised.
    if (rest.includes("peer-dies" satisfies CaseName)) return;
    console.error(`serve: ${selector ?? "session"}: ${error}`);
  },
};

/** What the address of a transport begins with. */
const PREFIXES: Record<string, string> = {
  tcp: "tcp://",
  unix: "unix:",
  ws: "ws://",
  tls: "tls://",
  wss: "wss://",
};

/** The certificate of this end, its key, and whom it trusts. */
function tlsOf(end: "server" | "client") {
  return {
    ca: `${directory}/ca.pem`,
    cert: `${directory}/${end}.pem`,
    key: `${directory}/${end}.key`,
  };
}

async function serve(): Promise<void> {
  if (transport === "stdio") {
    const peer = await dial("stdio:", options);
    return await peer.closed;
  }
  const place = transport === "unix" ? rest[0] : "127.0.0.1:0";
  const listener = await listen(PREFIXES[transport!]! + place, {
    ...options,
    ...directory && { tls: { ...tlsOf("server"), clientCert: "required" } },
  });
  const at = listener.addr.slice(PREFIXES[transport!]!.length);
  console.log(`listening ${at.replace(/\/$/, "")}`);
}

function connectTo(address: string): Promise<Peer> {
  return dial(PREFIXES[transport!]! + address, {
    ...options,
    ...directory && { tls: tlsOf("client") },
  });
}

async function client(): Promise<void> {
  let names = rest.slice(1);
  let peer: Peer;
  if (transport === "exec") {
    const split = rest.indexOf("--");
    names = rest.slice(0, split);
    const [command, ...args] = rest.slice(split + 1);
    peer = dialCommand(command!, { ...options, args });
  } else {
    peer = await connectTo(rest[0]!);
  }
  for (const name of names as CaseName[]) {
    let error: string | undefined;
    try {
      await (name as string === EXTENDED ? extendedCase : CASES[name])(peer);
    } catch (failure) {
      error = failure instanceof Error ? failure.stack : `${failure}`;
    }
    console.log(JSON.stringify({ case: name, ok: error === undefined, error }));
  }
  await peer.close();
}

/** Dials a server that refuses. */
async function refused(): Promise<void> {
  const error = await connectTo(rest[0]!).catch((error) => error);
  console.log((error as { code?: unknown }).code);
}

const modes = { serve, client, refused };
await modes[mode as keyof typeof modes]();
// What is left of a session must not keep the program.
if (mode !== "serve") process.exit();
