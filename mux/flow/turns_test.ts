import { assert, assertEquals, assertLess } from "@std/assert";
import { nextTurn, TurnBudget, TurnClock } from "./turns.ts";

Deno.test("TurnClock: shows one time throughout a turn and reads the clock again in the next", () => {
  let time = 5;
  let reads = 0;
  const clock = new TurnClock(() => {
    reads++;
    return time;
  });
  assertEquals(reads, 0);
  assertEquals(clock.now(), 5);
  time = 6;
  assertEquals(clock.now(), 5);
  clock.tick();
  assertEquals(clock.now(), 6);
  assertEquals(reads, 2);
});

/** Whether a timer runs before as many turns are over. */
async function timerRuns(): Promise<boolean> {
  let ran = false;
  setTimeout(() => ran = true, 0);
  for (let i = 0; i < 10_000 && !ran; i++) await nextTurn();
  return ran;
}

Deno.test("nextTurn: lets timers run, which microtasks do not", async () => {
  assertEquals(await timerRuns(), true);
});

Deno.test("nextTurn: does without setImmediate(), as in browsers", async () => {
  const { setImmediate } = globalThis;
  Reflect.deleteProperty(globalThis, "setImmediate");
  try {
    assertEquals(await timerRuns(), true);
  } finally {
    Object.assign(globalThis, { setImmediate });
  }
});

Deno.test("nextTurn: lets sockets be served, however long others are busy", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  using writer = await Deno.connect({
    hostname: "127.0.0.1",
    port: listener.addr.port,
  });
  using reader = await accepting;
  for (let i = 0; i < 20; i++) {
    let turns = 0, hasRead = false;
    const reading = reader.read(new Uint8Array(1)).then(() => hasRead = true);
    await writer.write(new Uint8Array(1));
    for (; !hasRead && turns < 1_000; turns++) await nextTurn();
    await reading;
    assertLess(turns, 4);
  }
});

Deno.test("TurnBudget: is spent after four milliseconds of work, until the event loop turns", async () => {
  const budget = new TurnBudget();
  budget.count(3);
  assert(!budget.isSpent);
  budget.count(1);
  assert(budget.isSpent);
  await budget.wait();
  assert(!budget.isSpent);
  budget.done();
});

/** Waits three times at once, each with so much work; returns the turns. */
async function turnsOf(ms: number): Promise<number[]> {
  const budget = new TurnBudget();
  const turns: number[] = [];
  let turn = 0;
  const work = async () => {
    await budget.wait();
    turns.push(turn);
    budget.count(ms);
    budget.done();
  };
  const all = Promise.all([work(), work(), work()]);
  let over = false;
  void all.then(() => over = true);
  for (; !over; turn++) await nextTurn();
  return turns;
}

Deno.test("TurnBudget: those who wait share a turn while there is time", async () => {
  const [first, second, third] = await turnsOf(1);
  assertEquals(second, first);
  assertEquals(third, first);
});

Deno.test("TurnBudget: those who wait have a turn each if they work for long", async () => {
  const [first, second, third] = await turnsOf(20);
  assert(first! < second! && second! < third!);
});

Deno.test("TurnBudget: is spent for newcomers while others wait", async () => {
  const budget = new TurnBudget();
  const waiting = [budget.wait(), budget.wait()];
  await waiting[0];
  assert(budget.isSpent);
  budget.done();
  await waiting[1];
  assert(!budget.isSpent);
  budget.done();
});

Deno.test("TurnBudget: can be waited for again once all are done", async () => {
  const budget = new TurnBudget();
  for (let i = 0; i < 3; i++) {
    await budget.wait();
    budget.done();
  }
  assert(!budget.isSpent);
});

/** Work of others: takes `ms` milliseconds of a clock in each of so many passes. */
function others(passes: number, ms: number) {
  const work = { now: 0, passes: 0 };
  const pass = () => {
    if (work.passes === passes) return;
    work.passes++;
    work.now += ms;
    setImmediate(pass);
  };
  setImmediate(pass);
  return work;
}

/** Waits for a turn while others work. */
async function turnAfter(work: { now: number }): Promise<void> {
  const budget = new TurnBudget(() => work.now);
  budget.count(4);
  await budget.wait();
  budget.done();
}

Deno.test("TurnBudget: a turn begins when others have nothing more to do", async () => {
  const work = others(10, 2);
  await turnAfter(work);
  assertEquals(work.passes, 10);
});

Deno.test("TurnBudget: a turn begins although others always have something to do", async () => {
  const work = others(10_000, 2);
  await turnAfter(work);
  assert(work.now >= 32, "they have eight times as long");
  const { passes } = work;
  work.passes = 10_000;
  assert(passes < 200, `${passes} passes`);
});

Deno.test("TurnBudget: a turn does not wait for others that do little", async () => {
  const work = others(10_000, 0.001);
  await turnAfter(work);
  const { passes } = work;
  work.passes = 10_000;
  assert(passes <= 2, `${passes} passes`);
});
