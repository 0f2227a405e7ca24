/**
 * Words that mean different things to a rule and to what it guards.
 *
 * @module
 */
import {
  concat,
  framed,
  parseValues,
  utf8,
  values,
} from "../../support/wire.ts";
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { SMALL } from "../bounds.ts";
import type { RawSession } from "../raw_session.ts";

/** Values that carry one callback. */
const CALLBACK_VALUES = 50_000;

/** Calls with a literal header; returns the answer. */
async function answerTo(
  it: Attacker,
  session: RawSession,
  header: string,
): Promise<{ error?: unknown; value?: unknown }> {
  const channel = await session.open();
  if (channel === undefined) return { error: "no channel" };
  await channel.send(concat(framed(utf8(header)), values([])));
  await it.orTimeout(channel.untilClosed());
  if (channel.received.length === 0) return { error: "closed" };
  const [{ Error: error }, value] = parseValues(channel.received) as [
    { Error: unknown },
    unknown,
  ];
  return error === null ? { value } : { error };
}

const honest = { memory: SMALL, outcome: "lives", ms: 5_000 } as const;

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    ...honest,
    name: "selectors",
    about: "selectors that bypass the rule for admin.stop",
    run: async (it) => {
      const session = await it.session();
      const call = (Selector: string) =>
        answerTo(it, session, JSON.stringify({ Selector }));
      const status = await call("admin.status");
      it.check("admin.status answers", status.value === "running");
      for (
        const selector of [
          "admin.stop",
          "admin/stop",
          "/admin/stop",
          "admin//stop",
          "admin..stop",
          "admin./stop",
          "admin/.stop",
          "//admin/stop",
          ".admin.stop",
          "admin/stop/",
          "admin.stop.",
          "admin/./stop",
          "admin/x/../stop",
        ]
      ) {
        const { error } = await call(selector);
        const refused = /forbidden|not found/.test(String(error));
        it.check(`"${selector}" is refused`, refused, error ?? "a value");
      }
    },
  },
  {
    ...honest,
    name: "header-twice",
    about: "headers with a key twice, in different case",
    outcome: "may end",
    run: async (it) => {
      const session = await it.session();
      for (
        const header of [
          '{"Selector":"ping","selector":"admin.status"}',
          '{"selector":"ping","SELECTOR":"admin.status"}',
          '{"S":"ping","Selector":"admin.status"}',
        ]
      ) {
        const { error, value } = await answerTo(it, session, header);
        it.check(`${header} is refused`, error !== undefined, value);
      }
    },
  },
  {
    ...honest,
    name: "poisoned-keys",
    about: "a key that V8 confuses with a key in another session's value",
    run: async (it) => {
      const session = await it.session();
      const channel = await session.open();
      // The raw session parses no answer, so only the server has seen the key.
      await channel?.send(it.call("sink", { aa: 1, "a\\": 1 }));
      await channel?.untilClosed();
      const peer = await it.dial();
      const answer = await peer.call("echo", [{ aa: 1, "a\n": 1 }]);
      const keys = JSON.stringify(Object.keys(answer as object));
      it.check("keys come back as they were", keys === '["aa","a\\n"]', keys);
    },
  },
  {
    ...honest,
    name: "many-callbacks",
    about: "50,000 values on one call that carry one callback(fn)",
    ms: 15_000,
    run: async (it) => {
      const errors: unknown[] = [];
      const peer = await it.dial({ onError: (error) => errors.push(error) });
      using fn = it.library.callback(() => {});
      async function* carrying() {
        for (let i = 0; i < CALLBACK_VALUES; i++) yield [fn];
      }
      const taken = await peer.call("all", carrying()).catch(String);
      it.check("all values are taken", taken === CALLBACK_VALUES, taken);
      const answer = await peer.call("ping", []).catch(String);
      it.check("the next call succeeds", answer === "pong", answer);
      it.check("the client has no error", errors.length === 0, errors[0]);
    },
  },
  {
    ...honest,
    name: "emitter-methods",
    about: "methods of Node's EventEmitter, of a service that extends it",
    run: async (it) => {
      const session = await it.session();
      const call = (Selector: string) =>
        answerTo(it, session, JSON.stringify({ Selector }));
      const hello = await call("bus.hello");
      it.check("its own method answers", hello.value === "hello", hello.error);
      for (const name of ["emit", "removeAllListeners", "eventNames"]) {
        const { error } = await call(`bus.${name}`);
        const refused = String(error).startsWith("not found");
        it.check(`${name}() is not found`, refused, error ?? "a value");
      }
    },
  },
];
