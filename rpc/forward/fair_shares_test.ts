import { assertEquals } from "@std/assert";
import { FairShares, Place } from "./fair_shares.ts";

/** Lets a client ask for so many places; returns those that it has at once. */
function ask(shares: FairShares, client: object, count: number): Place[] {
  const places = Array.from({ length: count }, () => new Place(client));
  return places.filter((place) => shares.join(place));
}

Deno.test("FairShares: a client alone gets half of the places, and the next one half of the rest", () => {
  const shares = new FairShares(() => 8);
  assertEquals(ask(shares, {}, 8).length, 4);
  assertEquals(ask(shares, {}, 8).length, 2);
  assertEquals(ask(shares, {}, 8).length, 1);
});

Deno.test("FairShares: of few places, a client alone gets all, and gives others a turn with each that it gives back", () => {
  const shares = new FairShares(() => 4, true);
  const [ann, bob] = [{ name: "Ann" }, { name: "Bob" }];
  const anns = ask(shares, ann, 6);
  assertEquals(anns.length, 4);
  const begun: string[] = [];
  for (let i = 0; i < 2; i++) {
    const place = new Place(bob);
    place.onTurn = () => begun.push("Bob");
    assertEquals(shares.join(place), false);
  }
  for (const place of anns) shares.leave(place);
  assertEquals(begun, ["Bob", "Bob"]);
  assertEquals(ask(shares, {}, 1).length, 0);
});
