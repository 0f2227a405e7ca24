/**
 * Broken rules, as in `tests/faults`, against a server process.
 *
 * @module
 */
import { HOSTILE } from "../../faults/hostile_bytes.ts";
import { Random } from "../../support/random.ts";
import {
  concat,
  framed,
  fromHex,
  open,
  utf8,
  values,
} from "../../support/wire.ts";
import type { Attack } from "../attack.ts";
import { SMALL } from "../bounds.ts";

/** Malformed calls: each closes its channel or is answered with an error. */
const NO_CALLS: Record<string, Uint8Array> = {
  "a header that is a list": values(["echo"], []),
  "a header without a selector": values({ Selector: 7 }, []),
  "a header of no bytes": framed(new Uint8Array(0)),
  "half a header": framed(utf8('{"Selector":"ec')),
  "a header of 4 GiB, as it says": concat(fromHex("ffffffff"), utf8("{")),
  "a header that is nested too deep": framed(
    utf8(`{"x":${"[".repeat(600)}${"]".repeat(600)}}`),
  ),
  "an argument of 4 GiB, as it says": concat(
    values({ Selector: "echo" }),
    fromHex("ffffffff"),
  ),
  "an argument that is no JSON": concat(
    values({ Selector: "echo" }),
    framed(utf8("[1,")),
  ),
};

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    name: "broken-rules",
    about: "every way to break a session, each on a connection of its own",
    memory: SMALL,
    outcome: "session ends",
    ms: 5_000,
    run: async (it) => {
      const codes: string[] = [];
      for (const [what, hostile] of Object.entries(HOSTILE)) {
        if (hostile.served === false) continue;
        const line = await it.line();
        await line.write(open(0), hostile.bytes(0));
        if (hostile.ends) await line.end();
        await it.orTimeout(line.ended);
        it.check(`${what} ends its connection`, !line.open);
        codes.push(hostile.code);
      }
      it.expectErrors(codes);
    },
  },
  {
    name: "broken-calls",
    about: "malformed calls, then a valid one",
    memory: SMALL,
    outcome: "may end",
    ms: 5_000,
    run: async (it) => {
      const session = await it.session();
      for (const [what, bytes] of Object.entries(NO_CALLS)) {
        const channel = await session.open();
        await channel?.send(bytes);
        if (channel) await it.orTimeout(channel.untilClosed());
        it.check(`${what} closes its channel`, channel?.closed === true);
      }
      const channel = await session.open();
      await channel?.send(it.call("ping"));
      if (channel) await it.orTimeout(channel.untilClosed());
      it.check("the next call is answered", channel?.received.length! > 0);
    },
  },
  {
    name: "random-bytes",
    about: "300 connections of random bytes that begin as a frame does",
    memory: SMALL,
    outcome: "may end",
    ms: 5_000,
    run: async (it) => {
      const random = new Random(1);
      for (let i = 0; i < 300 && !it.signal.aborted; i++) {
        const line = await it.line();
        const bytes = random.bytes(random.int(1, 300));
        bytes[0] = random.int(100, 106);
        if (random.chance(0.5)) bytes.fill(0, 1, 5);
        await line.write(bytes);
        await line.end();
        await it.orTimeout(line.ended);
        it.check("its connection ends", !line.open);
      }
    },
  },
  {
    name: "channel-flood",
    about: "more channels than there are, let go and opened again",
    memory: SMALL,
    outcome: "may end",
    ms: 5_000,
    run: async (it) => {
      const session = await it.session();
      for (let round = 0; round < 3; round++) {
        const opened = await it.orTimeout(
          Promise.all(Array.from({ length: 2_500 }, () => session.open())),
        ) ?? [];
        const channels = opened.filter((channel) => channel !== undefined);
        it.check(
          "channels are given away again",
          channels.length > 0 && channels.length < 2_500,
          `${channels.length} in round ${round}`,
        );
        await Promise.all(channels.map((channel) => channel.close()));
        await it.orTimeout(
          Promise.all(channels.map((channel) => channel.untilClosed())),
        );
      }
    },
  },
];
