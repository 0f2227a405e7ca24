/**
 * WebSockets: endless messages, unfinished requests, and pages of other origins.
 *
 * @module
 */
import { concat, utf8 } from "../../support/wire.ts";
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { SMALL } from "../bounds.ts";
import { repeated } from "../batches.ts";
import { aborted } from "../line.ts";
import {
  askForWebSocket,
  clientFrame,
  requestHead,
} from "../websocket_line.ts";

const BINARY = 2, CONTINUATION = 0, PING = 9;
const MIB = 1024 * 1024;

/** Sends a message in fragments that never ends. */
async function endlessMessage(it: Attacker, size: number): Promise<void> {
  const { line, status } = await askForWebSocket(it);
  it.check("the WebSocket is opened", status === 101, status);
  const payload = new Uint8Array(size);
  const more = { final: false };
  await line.write(clientFrame(BINARY, payload, more));
  const batch = repeated(clientFrame(CONTINUATION, payload, more));
  await it.flood(line, () => batch);
}

/** Requests that must be refused, and may be hung up on. */
async function checkRefused(
  it: Attacker,
  what: string,
  fields: Record<string, string>,
): Promise<void> {
  const { line, status } = await askForWebSocket(it, fields);
  it.check(`${what} is refused`, status >= 400, status);
  await line.close();
}

async function checkDoors(it: Attacker): Promise<void> {
  const { host, port } = new URL(it.address);
  const here = `http://${host}`;
  const evil = `evil.example:${port}`;
  const welcome = {
    "a program": await askForWebSocket(it),
    "a page of its own": await askForWebSocket(it, { Origin: here }),
  };
  await checkRefused(it, "a page from elsewhere", {
    Origin: `http://${evil}`,
  });
  await checkRefused(it, "a page whose host name was bound anew", {
    Host: evil,
    Origin: `http://${evil}`,
  });
  for (const [what, { line, status }] of Object.entries(welcome)) {
    it.check(`${what} is let in`, status === 101, status);
    it.check(`${what} stays connected`, line.open, line.state);
  }
  // A request that is refused is no session, and no error.
  it.expectErrors([]);
}

/** The attacks on both ways to serve WebSockets. */
function both(
  transport: "ws" | "serve",
  suffix: string,
  documented?: string,
): Attack[] {
  const common = { setup: { transport }, memory: SMALL } as const;
  const excuse = documented === undefined ? {} : { documented };
  return [
    {
      ...common,
      ...excuse,
      name: `ws-endless-message${suffix}`,
      about: "a message in fragments of 1 MiB that never ends",
      outcome: "session ends",
      ms: 2_000,
      run: (it) => endlessMessage(it, MIB),
    },
    {
      ...common,
      ...excuse,
      name: `ws-tiny-fragments${suffix}`,
      about: "a message in fragments of one byte that never ends",
      outcome: "may end",
      run: (it) => endlessMessage(it, 1),
    },
    {
      ...common,
      ...excuse,
      name: `ws-ping-flood${suffix}`,
      about: "WebSocket pings, again and again",
      outcome: "may end",
      run: async (it) => {
        const { line } = await askForWebSocket(it);
        const batch = repeated(clientFrame(PING, new Uint8Array(8)));
        await it.flood(line, () => batch);
      },
    },
    {
      ...common,
      ...excuse,
      name: `ws-doors${suffix}`,
      about: "requests with a foreign Host or Origin (DNS rebinding)",
      outcome: "lives",
      ms: 5_000,
      run: checkDoors,
    },
  ];
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  ...both("ws", ""),
  ...both(
    "serve",
    "-served",
    "Deno.upgradeWebSocket() takes fragments and pings without a limit, and " +
      "which hosts are its own only the program knows",
  ),
  {
    name: "ws-unfinished-requests",
    about: "500 connections that never finish their HTTP request",
    setup: { transport: "ws" },
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      const head = utf8(requestHead(it.address).slice(0, -2));
      for (let i = 0; i < 500 && !it.signal.aborted; i++) {
        const line = await it.line();
        await line.write(concat(head, utf8("X-Filler: ")));
      }
      await aborted(it.signal);
    },
  },
];
