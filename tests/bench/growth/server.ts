// The server process of a curve: `server.ts CURVE`. Prints its address.

import {
  type Callback,
  handlerFrom,
  listen,
  listenSession,
} from "@qtalk/qtalk";
import { LIMITS, SESSION_LIMITS } from "./limits.ts";

const service = {
  same: (value: unknown) => value,
  /** Calls each function once, while it holds all of them. */
  async each(functions: Callback<(value: number) => number>[]) {
    for (const one of functions) await one(1);
  },
};
/** What the client calls. */
export type GrowthService = typeof service;

if (Deno.args[0] === "channels") {
  const listener = await listenSession("tcp://127.0.0.1:0", SESSION_LIMITS);
  console.log(listener.addr);
  for await (const session of listener) session.accept(() => {});
} else {
  const handler = handlerFrom(service);
  const listener = await listen("tcp://127.0.0.1:0", { handler, ...LIMITS });
  console.log(listener.addr);
}
