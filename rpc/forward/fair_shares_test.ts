import { assertEquals } from "@std/assert";
import { FairShares, Place } from "./fair_shares.ts";

/** Lets a client ask for so many places; returns those that it has at once. */
function ask(shares: FairShares, client: object, count: number): Place[] {
  const places = Array.from({ length: count }, () => new Place(client));
  return places.filter((place) => shares.join(place));
}

Deno.test("FairShares: a client alone gets all places but an eighth, and each next one half of the rest", () => {
  const shares = new FairShares(() => 64);
  assertEquals(ask(shares, {}, 64).length, 56);
  assertEquals(ask(shares, {}, 64).length, 4);
  assertEquals(ask(shares, {}, 64).length, 2);
  assertEquals(ask(shares, {}, 64).length, 1);
});

Deno.test("FairShares: one place is left for the next client, however few there are, unless there is only one", () => {
  for (const limit of [1, 2, 3, 4, 7, 8]) {
    const shares = new FairShares(() => limit);
    const most = Math.max(1, limit - 1);
    assertEquals(ask(shares, {}, limit).length, most);
    assertEquals(ask(shares, {}, 1).length, limit - most);
  }
});

Deno.test("FairShares: what a client gives back goes to one that has less, until they have the same", () => {
  const shares = new FairShares(() => 64);
  const ann = {}, bob = {};
  const anns: Place[] = [], bobs: Place[] = [];
  const wait = (client: object, begun: Place[]) => {
    const place = new Place(client);
    place.onTurn = () => begun.push(place);
    if (shares.join(place)) begun.push(place);
  };
  for (let i = 0; i < 100; i++) wait(ann, anns);
  for (let i = 0; i < 100; i++) wait(bob, bobs);
  assertEquals([anns.length, bobs.length], [56, 4]);
  let left = 0;
  for (; anns.length - left > bobs.length; left++) shares.leave(anns[left]!);
  // No call of the one that had more has begun meanwhile.
  assertEquals([anns.length, left, bobs.length], [56, 28, 28]);
  // From then on, both have the same.
  for (let i = 0; i < 20; i++) {
    shares.leave(anns[left + i]!);
    shares.leave(bobs[i]!);
    const running = [anns.length - left - i - 1, bobs.length - i - 1];
    assertEquals(running, [28, 28]);
  }
});

Deno.test("FairShares: a client that was passed over goes on when no other one waits any more", () => {
  let limit = 48;
  const shares = new FairShares(() => limit);
  const [anns, bobs] = [60, 4].map((count) => {
    const client = {};
    return Array.from({ length: count }, () => new Place(client));
  }) as [Place[], Place[]];
  const begun = (places: Place[]) => places.filter(({ begun }) => begun).length;
  for (const place of [...anns, ...bobs]) shares.join(place);
  assertEquals([begun(anns), begun(bobs)], [42, 3]);
  // As when another member of a pool is connected.
  limit = 64;
  shares.recheck();
  assertEquals([begun(anns), begun(bobs)], [52, 4]);
});

Deno.test("FairShares: the limit is asked for once for each decision", () => {
  let asked = 0;
  const shares = new FairShares(() => {
    asked++;
    return 8;
  });
  const clients = Array.from({ length: 20 }, () => ({}));
  const begun = clients.flatMap((client) => ask(shares, client, 1));
  assertEquals([begun.length, asked], [8, 20]);
  shares.leave(begun[0]!);
  assertEquals(asked, 21);
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
