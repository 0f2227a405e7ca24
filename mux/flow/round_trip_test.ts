import { assertEquals } from "@std/assert";
import { RoundTrip } from "./windows.ts";

/** A round trip on a clock that the test sets. */
function make(): { roundTrip: RoundTrip; pass: (time: number) => void } {
  let time = 1_000;
  return {
    roundTrip: new RoundTrip({ now: () => time }),
    pass: (more) => void (time += more),
  };
}

Deno.test("RoundTrip: is unknown before the first measurement", () => {
  const { roundTrip, pass } = make();
  assertEquals(roundTrip.shortest, undefined);
  roundTrip.probeAnswered(1);
  roundTrip.probeSent(1);
  pass(5);
  roundTrip.probeAnswered(2);
  assertEquals(roundTrip.shortest, undefined);
});

Deno.test("RoundTrip: lasts from a probe to its answer on the same channel", () => {
  const { roundTrip, pass } = make();
  roundTrip.probeSent(1);
  pass(5);
  roundTrip.probeAnswered(1);
  assertEquals(roundTrip.shortest, 5);
  pass(1);
  roundTrip.probeAnswered(1);
  assertEquals(roundTrip.shortest, 5, "there was no probe");
});

Deno.test("RoundTrip: is the shortest of all measurements", () => {
  const { roundTrip, pass } = make();
  for (const time of [7, 3, 9]) {
    roundTrip.probeSent(1);
    pass(time);
    roundTrip.probeAnswered(1);
  }
  assertEquals(roundTrip.shortest, 3);
});

Deno.test("RoundTrip: takes observe() into account", () => {
  const { roundTrip, pass } = make();
  roundTrip.observe(4);
  assertEquals(roundTrip.shortest, 4);
  roundTrip.observe(6);
  roundTrip.probeSent(1);
  pass(5);
  roundTrip.probeAnswered(1);
  assertEquals(roundTrip.shortest, 4);
  roundTrip.observe(3);
  assertEquals(roundTrip.shortest, 3);
});

Deno.test("RoundTrip: ignores a probe sent while another is under way", () => {
  const { roundTrip, pass } = make();
  roundTrip.probeSent(1);
  pass(4);
  roundTrip.probeSent(2);
  pass(1);
  roundTrip.probeAnswered(2);
  assertEquals(roundTrip.shortest, undefined);
  roundTrip.probeAnswered(1);
  assertEquals(roundTrip.shortest, 5);
});

Deno.test("RoundTrip: replaces a probe that is not answered within a second", () => {
  const { roundTrip, pass } = make();
  roundTrip.probeSent(1);
  pass(1_001);
  roundTrip.probeSent(2);
  pass(5);
  roundTrip.probeAnswered(2);
  assertEquals(roundTrip.shortest, 5);
});

Deno.test("RoundTrip: forget() drops the probe of that channel only", () => {
  const { roundTrip, pass } = make();
  roundTrip.probeSent(1);
  roundTrip.forget(2);
  roundTrip.forget(1);
  roundTrip.probeSent(2);
  pass(5);
  roundTrip.probeAnswered(2);
  assertEquals(roundTrip.shortest, 5);
});
