import { assert, assertEquals } from "@std/assert";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { test } from "../../tests/support/harness.ts";
import { turn, until, watch } from "../../tests/support/within.ts";
import { AcceptLoop } from "./accept_loop.ts";
import type { TalkError } from "../errors.ts";

/** An error of the system with a code, as Deno throws it. */
function systemError(code: string): Error {
  return Object.assign(new Error(`failed with ${code}`), { code });
}

/** A loop over answers that the test lists, with a clock of its own. */
function lab(
  answer: (nth: number) => number | Error | null,
  freedAt?: number,
) {
  const time = new FakeTime(1);
  let now = 0;
  let accepts = 0;
  const taken: number[] = [];
  const errors: TalkError[] = [];
  let tries = 0;
  const loop = new AcceptLoop<number>(
    {
      accept() {
        const next = answer(accepts++);
        return next instanceof Error
          ? Promise.reject(next)
          : Promise.resolve(next);
      },
    },
    {
      take: (accepted) => void taken.push(accepted),
      onExhausted: (error) => errors.push(error),
      whileExhausted: () => Promise.resolve(++tries === freedAt),
    },
    () => now,
  );
  return {
    loop,
    taken,
    errors,
    get accepts() {
      return accepts;
    },
    get tries() {
      return tries;
    },
    get waiting() {
      return time.waiting;
    },
    async pass(ms: number) {
      now += ms;
      time.tick(ms);
      for (let i = 0; i < 2; i++) await turn();
    },
    [Symbol.dispose]: () => time[Symbol.dispose](),
  };
}

for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]) {
  test(`AcceptLoop: after ${code} it tries again for as long as it takes, at last each second`, async () => {
    const failure = systemError(code);
    let free = false;
    using one = lab((nth) => free ? (nth % 2 === 0 ? nth : null) : failure);
    const running = watch(one.loop.run());
    await one.pass(0);
    const delays: number[] = [];
    let before = one.accepts;
    let ms = 0;
    // The first seconds step by step, then a minute.
    for (; ms < 5_000; ms += 50) {
      await one.pass(50);
      if (one.accepts > before) delays.push(ms + 50);
      before = one.accepts;
    }
    assertEquals(
      delays.slice(0, 6).map((at, i) => at - (delays[i - 1] ?? 0)),
      [50, 100, 200, 400, 800, 1_000],
    );
    for (; ms < 60_000; ms += 1_000) await one.pass(1_000);
    assertEquals(running.state, "pending");
    assert(one.accepts < 70, `${one.accepts} attempts in a minute`);
    assertEquals(one.tries, one.accepts);
    free = true;
    await one.pass(1_000);
    await one.pass(1_000);
    assertEquals(running.state, "resolved");
  });
}

test("AcceptLoop: a spell without files is reported once, with the cause, however long it lasts", async () => {
  const failure = systemError("EMFILE");
  using one = lab(() => failure);
  const running = watch(one.loop.run());
  for (let i = 0; i < 60; i++) await one.pass(1_000);
  assertEquals(one.errors.map(({ code, message }) => [code, message]), [[
    "out-of-resources",
    "Cannot accept connection: failed with EMFILE; it waits until some are free",
  ]]);
  assertEquals(one.errors[0]!.cause, failure);
  assertEquals(running.state, "pending");
});

test("AcceptLoop: files that come and go are one spell until none was missing for ten seconds", async () => {
  // What accept() does after each pass of time.
  const waiting: PromiseWithResolvers<number | null>[] = [];
  using time = new FakeTime(1);
  let now = 0;
  const errors: TalkError[] = [];
  const taken: number[] = [];
  const loop = new AcceptLoop<number>(
    {
      accept() {
        const next = Promise.withResolvers<number | null>();
        waiting.push(next);
        return next.promise;
      },
    },
    {
      take: (accepted) => void taken.push(accepted),
      onExhausted: (error) => errors.push(error),
    },
    () => now,
  );
  const running = loop.run();
  const settle = async (outcome: number | Error | null) => {
    await until(() => waiting.length > 0, "accept()", () => {
      time.tick(50);
      return turn();
    });
    const next = waiting.shift()!;
    if (outcome instanceof Error) next.reject(outcome);
    else next.resolve(outcome);
    await turn();
  };
  for (let i = 0; i < 20; i++) {
    await settle(systemError("EMFILE"));
    now += 9_999;
    await settle(i);
  }
  assertEquals([errors.length, taken.length], [1, 20]);
  now += 1;
  await settle(systemError("EMFILE"));
  assertEquals(errors.length, 2);
  await settle(null);
  await running;
});

test("AcceptLoop: a connection that ended before it was accepted is skipped, any number of times", async () => {
  for (const code of ["ECONNABORTED", "ECONNRESET", "EPROTO"]) {
    const failure = systemError(code);
    using one = lab((nth) => nth < 150 ? failure : nth === 150 ? nth : null);
    const running = watch(one.loop.run());
    await until(
      () => running.state !== "pending",
      "the end",
      () => one.pass(0),
    );
    assertEquals([running.state, one.taken, one.errors], [
      "resolved",
      [150],
      [],
    ]);
  }
});

test("AcceptLoop: an error of the listening socket ends the loop after 100 in a row", async () => {
  for (const code of ["EINVAL", "EBADF", "EPERM", undefined]) {
    const failure = code === undefined
      ? new Deno.errors.BadResource("Listener has been closed")
      : systemError(code);
    using one = lab((nth) => nth === 99 ? nth : failure);
    const running = watch(one.loop.run());
    await until(
      () => running.state !== "pending",
      "the end",
      () => one.pass(50),
    );
    assertEquals(running.reason, failure);
    assertEquals(one.taken, [99], "one success starts to count anew");
    assertEquals([one.accepts, one.errors], [200, []]);
  }
});

test("AcceptLoop: stop() ends the wait", async () => {
  let closed = false;
  using one = lab(() => closed ? null : systemError("EMFILE"));
  const running = watch(one.loop.run());
  await one.pass(0);
  assertEquals(one.waiting, 1);
  closed = true;
  one.loop.stop();
  await one.pass(0);
  assertEquals([running.state, one.waiting], ["resolved", 0]);
});

test("AcceptLoop: it tries again at once if files were made free", async () => {
  using one = lab(() => systemError("EMFILE"), 3);
  const running = watch(one.loop.run());
  await one.pass(0);
  await one.pass(50);
  assertEquals([one.accepts, one.tries], [2, 2]);
  // The third failure makes a file free, and the fourth does not.
  await one.pass(100);
  for (let i = 0; i < 5; i++) await one.pass(0);
  assertEquals([one.accepts, one.tries], [4, 4]);
  one.loop.stop();
  await one.pass(0);
  assertEquals(running.state, "resolved", "though accept() fails still");
});
