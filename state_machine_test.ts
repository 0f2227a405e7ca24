import { assertEquals, assertStrictEquals } from "@std/assert";
import { linkStates } from "./state_machine.ts";

Deno.test("linkStates(): each state leads to the states of its row", () => {
  const lamp = linkStates<"off" | "on" | "broken", "toggle" | "drop">({
    off: { toggle: "on", drop: "broken" },
    on: { toggle: "off", drop: "broken" },
    broken: { toggle: "broken", drop: "broken" },
  });
  assertEquals(lamp.off.name, "off");
  assertStrictEquals(lamp.off.toggle, lamp.on);
  assertStrictEquals(lamp.on.toggle.toggle, lamp.on);
  assertStrictEquals(lamp.on.drop.toggle, lamp.broken);
});

Deno.test("linkStates(): all states have the same keys in the same order", () => {
  const states = linkStates<"a" | "b", "x" | "y">({
    a: { x: "a", y: "b" },
    b: { x: "b", y: "a" },
  });
  for (const state of Object.values(states)) {
    assertEquals(Object.keys(state), ["x", "y", "name"]);
  }
});
