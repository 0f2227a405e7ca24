import { assertEquals, assertStrictEquals } from "@std/assert";
import { linkStates } from "./state_machine.ts";

Deno.test("linkStates(): an event leads to the state of its row, or to the same state", () => {
  const lamp = linkStates<"off" | "on" | "broken", "toggle" | "drop">(
    {
      off: { toggle: "on", drop: "broken" },
      on: { toggle: "off", drop: "broken" },
      broken: {},
    },
  );
  assertEquals(lamp.off.name, "off");
  assertStrictEquals(lamp.off.toggle, lamp.on);
  assertStrictEquals(lamp.on.toggle.toggle, lamp.on);
  assertStrictEquals(lamp.on.drop, lamp.broken);
  assertStrictEquals(lamp.broken.toggle, lamp.broken);
  assertStrictEquals(lamp.broken.drop, lamp.broken);
});

Deno.test("linkStates(): all states have the same keys in the same order", () => {
  const states = linkStates<"a" | "b", "x" | "y">({
    a: { y: "b" },
    b: { y: "a", x: "b" },
  });
  for (const state of Object.values(states)) {
    assertEquals(Object.keys(state), ["name", "y", "x"]);
  }
});
