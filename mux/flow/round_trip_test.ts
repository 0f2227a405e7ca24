import { assertEquals } from "@std/assert";
import { RoundTrip } from "./round_trip.ts";

/** A round trip on a clock that the test sets. */
function make(): { roundTrip: RoundTrip; pass: (time: number) => void } {
  let time = 1_000;
  return {
    roundTrip: new RoundTrip(() => time),
    pass: (more) => void (time += more),
  };
}

Deno.test("round trip: it is unknown before one was measured", () => {
  const { roundTrip, pass } = make();
  assertEquals(roundTrip.shortest, undefined);
  roundTrip.answered(1);
  roundTrip.asked(1);
  pass(5);
  roundTrip.answered(2);
  assertEquals(roundTrip.shortest, undefined);
});

Deno.test("round trip: it lasts from a question to the answer on the same channel", () => {
  const { roundTrip, pass } = make();
  roundTrip.asked(1);
  pass(5);
  roundTrip.answered(1);
  assertEquals(roundTrip.shortest, 5);
  pass(1);
  roundTrip.answered(1);
  assertEquals(roundTrip.shortest, 5, "nothing was asked");
});

Deno.test("round trip: the shortest counts", () => {
  const { roundTrip, pass } = make();
  for (const time of [7, 3, 9]) {
    roundTrip.asked(1);
    pass(time);
    roundTrip.answered(1);
  }
  assertEquals(roundTrip.shortest, 3);
});

Deno.test("round trip: so does what something else has seen", () => {
  const { roundTrip, pass } = make();
  roundTrip.atMost(4);
  assertEquals(roundTrip.shortest, 4);
  roundTrip.atMost(6);
  roundTrip.asked(1);
  pass(5);
  roundTrip.answered(1);
  assertEquals(roundTrip.shortest, 4);
  roundTrip.atMost(3);
  assertEquals(roundTrip.shortest, 3);
});

Deno.test("round trip: what is asked while another is measured is not measured", () => {
  const { roundTrip, pass } = make();
  roundTrip.asked(1);
  pass(4);
  roundTrip.asked(2);
  pass(1);
  roundTrip.answered(2);
  assertEquals(roundTrip.shortest, undefined);
  roundTrip.answered(1);
  assertEquals(roundTrip.shortest, 5);
});

Deno.test("round trip: a channel that never answers holds up no other for long", () => {
  const { roundTrip, pass } = make();
  roundTrip.asked(1);
  pass(1_001);
  roundTrip.asked(2);
  pass(5);
  roundTrip.answered(2);
  assertEquals(roundTrip.shortest, 5);
});

Deno.test("round trip: a channel that is over is not waited for", () => {
  const { roundTrip, pass } = make();
  roundTrip.asked(1);
  roundTrip.forget(2);
  roundTrip.forget(1);
  roundTrip.asked(2);
  pass(5);
  roundTrip.answered(2);
  assertEquals(roundTrip.shortest, 5);
});
