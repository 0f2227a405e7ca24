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

/** The same, after the first measurements of 1 ms each. */
function measured(): ReturnType<typeof make> & { measure(ms: number): void } {
  const made = make();
  const { roundTrip, pass } = made;
  const measure = (ms: number) => {
    roundTrip.probeSent(1);
    pass(ms);
    roundTrip.probeAnswered(1, true);
  };
  for (let i = 0; i < 16; i++) measure(1);
  assertEquals(roundTrip.smoothed, 1);
  return { ...made, measure };
}

Deno.test("RoundTrip: one in 16 frames is a probe while they are frequent", () => {
  const { roundTrip, measure } = measured();
  for (let i = 0; i < 15; i++) measure(9);
  assertEquals(roundTrip.smoothed, 1);
  measure(9);
  assertEquals(roundTrip.smoothed, 2);
});

Deno.test("RoundTrip: if the last measurement is a second old, one of the next four frames is a probe", () => {
  const { roundTrip, pass, measure } = measured();
  pass(1_000);
  for (let i = 0; i < 4; i++) measure(9);
  assertEquals(roundTrip.smoothed, 2);
});

Deno.test("RoundTrip: each frame is a probe while they are rarer than one a second", () => {
  const { roundTrip, pass, measure } = measured();
  for (let i = 0; i < 4; i++) {
    pass(1_000);
    measure(9);
  }
  assertEquals(
    roundTrip.smoothed,
    2,
    "until the first one, there may be three",
  );
  pass(1_000);
  measure(10);
  assertEquals(roundTrip.smoothed, 3);
  pass(1_000);
  measure(11);
  assertEquals(roundTrip.smoothed, 4);
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
