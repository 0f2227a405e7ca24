import { assertEquals } from "@std/assert";
import { utf8 } from "../../tests/support/wire.ts";
import { newId, newPrefix, RandomDigits } from "./pointers.ts";
import {
  CallbackRoutes,
  LentTotal,
  Loans,
  type RoutedSession,
} from "./callback_routes.ts";

const digits = new RandomDigits();

/** A session, with what waits for its end. */
class FakeSession implements RoutedSession {
  readonly routes = new CallbackRoutes();
  readonly waiting = new Set<() => void>();

  onEnd(callback: () => void): () => void {
    this.waiting.add(callback);
    return () => this.waiting.delete(callback);
  }

  end(): void {
    for (const callback of this.waiting) callback();
    this.waiting.clear();
    this.routes.close();
  }
}

const handler = () => {};

/** A function in an encoded value. */
const pointer = (id: string) => `{"$fnptr":"${id}"}`;

Deno.test("CallbackRoutes: a session that has ended leaves nothing at those that lent to it", () => {
  const lender = new FakeSession();
  for (let i = 0; i < 3; i++) {
    const borrower = new FakeSession();
    const prefixes = [newPrefix(), newPrefix()];
    for (const prefix of prefixes) {
      borrower.routes.add(prefix, lender, () => handler);
    }
    assertEquals(lender.waiting.size, 1);
    borrower.end();
    assertEquals(lender.waiting.size, 0);
    const selector = `/${newId(prefixes[0]!, "function", digits)}`;
    assertEquals(borrower.routes.match(selector), undefined);
    // What comes too late is not remembered.
    borrower.routes.add(newPrefix(), lender, () => handler);
    assertEquals(lender.waiting.size, 0);
  }
});

Deno.test("CallbackRoutes: a lender that has ended leaves nothing at its borrowers", () => {
  const borrower = new FakeSession();
  for (let i = 0; i < 3; i++) {
    const lender = new FakeSession();
    const prefix = newPrefix();
    borrower.routes.add(prefix, lender, () => handler);
    const make = () => new Loans(borrower, () => {});
    const loans = borrower.routes.loans(prefix, lender, make);
    assertEquals(borrower.routes.loans(prefix, lender, make), loans);
    assertEquals(borrower.routes.loans(prefix, borrower, make), undefined);
    assertEquals(borrower.waiting.size, 1);
    lender.end();
    assertEquals(borrower.waiting.size, 0);
    assertEquals(borrower.routes.loans(prefix, lender, make), undefined);
  }
});

Deno.test("Loans: a peer gives back only what it was lent", () => {
  const prefix = newPrefix();
  const borrower = new FakeSession();
  const released: [id: string, count: number][] = [];
  const loans = new Loans(
    borrower,
    (id, count) => void released.push([id, count]),
  );
  for (let i = 0; i < 5_000; i++) {
    const id = newId(prefix, "function", digits);
    loans.giveBack(id, 1);
    loans.giveBack(id, -1);
  }
  borrower.end();
  assertEquals(released, []);
});

Deno.test("Loans: what was given back or declined is not released", () => {
  const prefix = newPrefix();
  const [a, b, c, d] = Array.from(
    { length: 4 },
    () => newId(prefix, "function", digits),
  ) as [string, string, string, string];
  const borrower = new FakeSession();
  const released: [id: string, count: number][] = [];
  const loans = new Loans(
    borrower,
    (id, count) => void released.push([id, count]),
  );
  const lend = (...ids: string[]) => {
    const loan = loans.begin(prefix);
    loan.onBytes(utf8(ids.map(pointer).join()));
    return loan;
  };
  lend(a, a, b).end(true);
  lend(a).end(true);
  lend(b, c).end(false);
  assertEquals(loans.giveBack(a, 1), 1);
  assertEquals(loans.giveBack(c, 1), 0);
  const undecided = lend(d);
  borrower.end();
  assertEquals(released, []);
  undecided.end(true);
  assertEquals(released, [[a, 2], [b, 1], [d, 1]]);
});

Deno.test("Loans: what a session can have remembered is limited, and all that it was lent can be given back", () => {
  const prefix = newPrefix();
  const borrower = new FakeSession();
  let released = 0;
  const loans = new Loans(borrower, () => void released++);
  const ids = Array.from(
    { length: 5_000 },
    () => newId(prefix, "function", digits),
  );
  const lend = (taken: boolean) => {
    for (const id of ids) {
      const loan = loans.begin(prefix);
      loan.onBytes(utf8(pointer(id)));
      loan.end(taken);
    }
  };
  lend(true);
  assertEquals(ids.map((id) => loans.giveBack(id, 1)), ids.map(() => 1));
  assertEquals(ids.map((id) => loans.giveBack(id, 1)), ids.map(() => 0));
  lend(true);
  lend(false);
  assertEquals(loans.giveBack("another one", 5_000), 5_000 - 4_096);
  borrower.end();
  assertEquals(released, 4_096);
});

Deno.test("Loans: as many as the peer may hold are remembered, if that is more than 4,096", () => {
  const prefix = newPrefix();
  const borrower = new FakeSession();
  let released = 0;
  const loans = new Loans(borrower, () => void released++);
  loans.remember(5_000);
  // A smaller limit changes nothing.
  loans.remember(10);
  loans.remember();
  for (let i = 0; i < 5_001; i++) {
    loans.add(newId(prefix, "function", digits), 1);
  }
  borrower.end();
  assertEquals(released, 5_000);
});

Deno.test("Loans: what does not reach the caller is released, unless the owner does so", () => {
  const prefix = newPrefix();
  const released: string[] = [];
  const loans = new Loans(new FakeSession(), (id) => void released.push(id));
  const [sent, split, lost] = [1, 2, 3].map(() =>
    newId(prefix, "function", digits)
  ) as [string, string, string];
  const [begin, end] = [pointer(split).slice(0, 20), pointer(split).slice(20)];
  const lend = (continued: boolean) => {
    const loan = loans.begin(prefix, continued);
    loan.onBytes(utf8(pointer(sent) + begin));
    loan.onDropped(utf8(end + pointer(lost)));
    return loan;
  };
  // What comes in a response that goes on is the caller's at once.
  lend(true).end(false);
  assertEquals(released.splice(0), [split, lost]);
  for (const taken of [true, false]) {
    const loan = lend(false);
    assertEquals(released, []);
    loan.end(taken);
    loan.onDropped(utf8(pointer(lost)));
    assertEquals(released.splice(0), taken ? [split, lost, lost] : []);
  }
});

Deno.test("Loans: the total of several peers is what their owner has lent", () => {
  const prefix = newPrefix();
  const total = new LentTotal();
  const peers = [new FakeSession(), new FakeSession()] as const;
  const [a, b] = peers.map((peer) => new Loans(peer, () => {}, total)) as [
    Loans,
    Loans,
  ];
  const [shared, own] = [1, 2].map(() => newId(prefix, "function", digits)) as [
    string,
    string,
  ];
  a.add(shared, 2);
  b.add(shared, 1);
  b.add(own, 1);
  assertEquals(total.size, 2);
  assertEquals([a.hasRoom(3), b.hasRoom(3)], [false, false]);
  assertEquals([a.hasRoom(4), b.hasRoom(4)], [true, false]);
  a.giveBack(shared, 2);
  assertEquals(total.size, 2);
  b.forget(own);
  assertEquals(total.size, 1);
  for (let i = 0; i < 5_000; i++) {
    a.add(newId(prefix, "function", digits), 1);
  }
  assertEquals(total.size, 5_001);
  peers[0].end();
  assertEquals(total.size, 1);
  peers[1].end();
  assertEquals(total.size, 0);
});
