import { forward } from "@qtalk/qtalk";
import { assertEquals } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { rawAccept, rawOpen } from "../../tests/support/raw_call.ts";
import { concat, framed, utf8, values } from "../../tests/support/wire.ts";
import { turn, within } from "../../tests/support/within.ts";
import { type ForwardTargets, forwardTargets } from "./forward_targets.ts";
import { isNotBegun } from "../errors.ts";
import type { Caller } from "../types.ts";

/** A pool whose members, one after the other, get a call until one does not refuse it. */
function poolOf(...peers: Caller[]): Caller {
  const targets: ForwardTargets = {
    failsOver: true,
    capacity: (max) => max,
    onConnected: () => () => {},
    async forward({ send }) {
      let latest: unknown;
      for (const peer of peers) {
        try {
          return await send(peer);
        } catch (error) {
          if (!isNotBegun(error)) throw error;
          latest = error;
        }
      }
      throw latest;
    },
  };
  return { [forwardTargets]: targets } as unknown as Caller;
}

const REFUSAL = { Error: "later", Continue: false, Q: { v: 1, code: "busy" } };

test("forward(): a call that a member of a pool refuses is sent to the next one byte for byte", async (t) => {
  for (const extended of [true, false]) {
    const members = [1, 2].map(() => t.scriptedPeer());
    const [first, second] = members;
    const { raw: client } = t.scriptedPeer({
      handler: forward(poolOf(...members.map(({ peer }) => peer))),
    });
    // The header of the refusal arrives whole, or in pieces.
    for (const [i, pieces] of [1, 2, 5].entries()) {
      const call = await rawOpen(client);
      const Q = { v: 1, unknown: [i] };
      const args = concat(framed(utf8("[ 1 ]")), utf8("not a value"));
      const header = { Selector: "a.b", ...extended && { Q } };
      await call.data(concat(values(header), args));
      const refusing = await rawAccept(first!.raw, i);
      await refusing.read(2);
      const refusal = values(REFUSAL);
      const size = Math.ceil(refusal.length / pieces);
      for (let at = 0; at < refusal.length; at += size) {
        await refusing.data(refusal.slice(at, at + size));
        for (let turns = 0; turns < 3; turns++) await turn();
      }
      await refusing.eof();
      await refusing.close();
      const doing = await rawAccept(second!.raw, i);
      // The rest goes where the call is now.
      await call.data("more");
      const again = framed(utf8(JSON.stringify({
        Selector: "/a/b",
        S: "/a/b",
        ...extended && { Q },
      })));
      const whole = concat(again, args, utf8("more"));
      let received = new Uint8Array(0);
      while (received.length < whole.length) {
        received = concat(
          received,
          (await second!.raw.find("data")).payload,
        );
      }
      assertEquals(received, whole);
      await call.eof();
      await second!.raw.find("eof");
      // Without null for the error, it opens no spare channels.
      await doing.values({ Continue: false }, "done");
      await doing.eof();
      await doing.close();
      assertEquals((await call.read(2))[1], "done");
      await call.close();
      await within(first!.raw.find("close"), "CLOSE");
    }
  }
});

test("forward(): a refusal that arrives in pieces is passed on byte for byte if no other member of a pool takes the call", async (t) => {
  const member = t.scriptedPeer();
  const { raw: client } = t.scriptedPeer({
    handler: forward(poolOf(member.peer)),
  });
  for (const [i, pieces] of [1, 3].entries()) {
    const call = await rawOpen(client);
    await call.values({ Selector: "x", Q: { v: 1 } }, null);
    const there = await rawAccept(member.raw, i);
    await there.read(2);
    const refusal = concat(values(REFUSAL), utf8("and more"));
    const size = Math.ceil(refusal.length / pieces);
    for (let at = 0; at < refusal.length; at += size) {
      await there.data(refusal.slice(at, at + size));
      for (let turns = 0; turns < 3; turns++) await turn();
    }
    await there.eof();
    let received = new Uint8Array(0);
    while (received.length < refusal.length) {
      received = concat(received, (await client.find("data")).payload);
    }
    assertEquals(received, refusal);
    await there.close();
    await within(client.find("close"), "CLOSE");
    await call.close();
    await within(member.raw.find("close"), "CLOSE");
  }
});

test("forward(): a caller that leaves while a refusal arrives, or a member is asked, ends the call at once", async (t) => {
  const members = [1, 2].map(() => t.scriptedPeer());
  const [first, second] = members;
  const { raw: client } = t.scriptedPeer({
    handler: forward(poolOf(...members.map(({ peer }) => peer))),
  });
  for (const [i, when] of (["pieces", "next"] as const).entries()) {
    const call = await rawOpen(client);
    await call.values({ Selector: "x", Q: { v: 1 } }, null);
    const there = await rawAccept(first!.raw, i);
    await there.read(2);
    const refusal = values(REFUSAL);
    if (when === "pieces") await there.data(refusal.slice(0, 10));
    else {
      await there.data(refusal);
      await (await rawAccept(second!.raw)).read(2);
    }
    await call.close();
    const asked = when === "pieces" ? first! : second!;
    const { recipient } = await within(asked.raw.find("close"), "CLOSE");
    assertEquals(recipient, 0, when);
  }
});
