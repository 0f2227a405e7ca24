import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "./support/fake_time.ts";
import { SingleTimer } from "./support/single_timer.ts";
import { timersStarted } from "./support/timers.ts";
import { turn, watch } from "./support/within.ts";
import {
  CoarseTimer,
  coarseTimer,
  CoarseTimers,
  limitedSignal,
  limitWait,
  loadedInTime,
  orAborted,
  settlesWithin,
  timeLimit,
  untilAborted,
} from "../time_limit.ts";

/** A signal that counts its listeners. */
function countedSignal(): {
  controller: AbortController;
  listeners: () => number;
} {
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  Object.assign(signal, {
    addEventListener(
      ...args: Parameters<AbortSignal["addEventListener"]>
    ): void {
      listeners.add(args[1]);
      addEventListener.apply(signal, args);
    },
    removeEventListener(
      ...args: Parameters<AbortSignal["removeEventListener"]>
    ): void {
      listeners.delete(args[1]);
      removeEventListener.apply(signal, args);
    },
  });
  return { controller, listeners: () => listeners.size };
}

for (const ms of [1, 100, 101, 30_000, 2 ** 31 - 1]) {
  Deno.test(`timeLimit: ${ms} ms expire after ${ms} ms, once`, () => {
    using time = new FakeTime(1);
    let expired = 0;
    timeLimit(ms, () => expired++);
    time.tick(ms - 1);
    assertEquals(expired, 0);
    time.tick(1);
    assertEquals(expired, 1);
    time.tick(100_000);
    assertEquals(expired, 1);
  });

  Deno.test(`timeLimit: ${ms} ms never expire once they are cancelled`, () => {
    using time = new FakeTime(1);
    let expired = 0;
    for (const elapsed of [0, ms - 1]) {
      const cancel = timeLimit(ms, () => expired++);
      time.tick(elapsed);
      cancel();
      time.tick(ms);
    }
    assertEquals([expired, time.waiting], [0, 0]);
  });
}

Deno.test("settlesWithin: it tells whether something has settled, and leaves no timer", async () => {
  using time = new FakeTime(1);
  for (const event of [Promise.resolve(), Promise.reject(new Error("no"))]) {
    assertEquals(await settlesWithin(1_000, event), true);
    assertEquals(time.waiting, 0);
  }
  const inTime = settlesWithin(1_000, new Promise(() => {}));
  const watched = watch(inTime);
  time.tick(999);
  await turn();
  assertEquals(watched.state, "pending");
  time.tick(1);
  assertEquals(await inTime, false);
});

for (const ms of [2 ** 31, Infinity]) {
  Deno.test(`timeLimit: ${ms} ms are no limit`, () => {
    using time = new FakeTime(1);
    timeLimit(ms, () => {});
    assertEquals(time.waiting, 0);
  });
}

Deno.test("timeLimit: an operation that finishes quickly starts no timer", () => {
  using _ = new FakeTime(1);
  const timers = timersStarted(() => timeLimit(30_000, () => {})());
  assertEquals(timers, 0);
});

Deno.test("limitWait: a wait ends with the timeout's error, once", () => {
  using time = new FakeTime(1);
  const { controller, listeners } = countedSignal();
  const error = new Error("late");
  const reasons: unknown[] = [];
  const cancel = limitWait({
    signal: controller.signal,
    timeout: 500,
    onTimeout: () => error,
  }, (reason) => reasons.push(reason));
  time.tick(499);
  assertEquals(reasons, []);
  time.tick(1);
  controller.abort();
  cancel();
  assertEquals(reasons.length, 1);
  assertStrictEquals(reasons[0], error);
  assertEquals([listeners(), time.waiting], [0, 0]);
});

Deno.test("limitWait: a wait ends with the signal's reason, once", () => {
  using time = new FakeTime(1);
  const controller = new AbortController();
  const reasons: unknown[] = [];
  let made = 0;
  const cancel = limitWait({
    signal: controller.signal,
    timeout: 500,
    onTimeout: () => made++,
  }, (reason) => reasons.push(reason));
  controller.abort("enough");
  assertEquals(time.waiting, 0);
  time.tick(1_000);
  cancel();
  assertEquals([reasons, made], [["enough"], 0]);
});

Deno.test("limitWait: a wait that is cancelled leaves no timer and no listener", () => {
  using time = new FakeTime(1);
  const { controller, listeners } = countedSignal();
  const reasons: unknown[] = [];
  const cancel = limitWait({
    signal: controller.signal,
    timeout: 500,
    onTimeout: () => "late",
  }, (reason) => reasons.push(reason));
  assertEquals([listeners(), time.waiting], [1, 1]);
  cancel();
  cancel();
  assertEquals([listeners(), time.waiting], [0, 0]);
  controller.abort();
  time.tick(1_000);
  assertEquals(reasons, []);
});

Deno.test("limitWait: a signal that has aborted ends the wait at once", () => {
  using time = new FakeTime(1);
  const reasons: unknown[] = [];
  limitWait({
    signal: AbortSignal.abort("before"),
    timeout: 500,
    onTimeout: () => "late",
  }, (reason) => reasons.push(reason));
  assertEquals([reasons, time.waiting], [["before"], 0]);
});

Deno.test("limitWait: without a signal and a timeout nothing ends the wait", () => {
  using time = new FakeTime(1);
  for (const timeout of [undefined, 2 ** 31, Infinity]) {
    let ended = false;
    limitWait({ timeout, onTimeout: () => "late" }, () => ended = true)();
    assertEquals([ended, time.waiting], [false, 0]);
  }
});

Deno.test("limitWait: a wait that ends quickly starts no timer", () => {
  using _ = new FakeTime(1);
  const limits = { timeout: 30_000, onTimeout: () => "late" };
  assertEquals(timersStarted(() => limitWait(limits, () => {})()), 0);
});

Deno.test("limitedSignal: aborts with the timeout's error", () => {
  using time = new FakeTime(1);
  const error = new Error("late");
  using limited = limitedSignal({ timeout: 500, onTimeout: () => error });
  time.tick(499);
  assert(!limited.signal.aborted);
  time.tick(1);
  assertStrictEquals(limited.signal.reason, error);
});

Deno.test("limitedSignal: aborts with the reason of the caller's signal", () => {
  using time = new FakeTime(1);
  const controller = new AbortController();
  for (const signal of [controller.signal, AbortSignal.abort("enough")]) {
    using limited = limitedSignal({
      signal,
      timeout: 500,
      onTimeout: () => "late",
    });
    controller.abort("enough");
    assertEquals(limited.signal.reason, "enough");
    assertEquals(time.waiting, 0);
  }
});

Deno.test("limitedSignal: disposing of it leaves no timer and no listener", () => {
  using time = new FakeTime(1);
  const { controller, listeners } = countedSignal();
  {
    using limited = limitedSignal({
      signal: controller.signal,
      timeout: 500,
      onTimeout: () => "late",
    });
    assertEquals([listeners(), time.waiting], [1, 1]);
    assert(!limited.signal.aborted);
  }
  assertEquals([listeners(), time.waiting], [0, 0]);
});

Deno.test("orAborted: settles as the promise does, or with the reason of an abort, and leaves no listener", async () => {
  const { controller, listeners } = countedSignal();
  const { signal } = controller;
  for (const signal of [undefined, controller.signal]) {
    assertEquals(await orAborted(Promise.resolve(1), signal), 1);
    const wrong = Promise.reject(new Error("wrong"));
    await assertRejects(() => orAborted(wrong, signal), Error, "wrong");
  }
  const pending = Promise.withResolvers<void>();
  const waiting = watch(orAborted(pending.promise, signal));
  assertEquals(listeners(), 1);
  controller.abort("enough");
  await turn();
  assertEquals([waiting.state, waiting.reason], ["rejected", "enough"]);
  assertEquals(listeners(), 0);
  // That it fails afterwards is of no interest.
  pending.reject(new Error("late"));
  await turn();
});

/** What is made, and closed. */
interface Closable {
  close(): unknown;
}

Deno.test("untilAborted: resolves to what is made", async () => {
  const conn = { close() {} };
  const { signal } = new AbortController();
  assertStrictEquals(await untilAborted(Promise.resolve(conn), signal), conn);
});

Deno.test("untilAborted: rejects with the error of the making", async () => {
  const refused = new Deno.errors.ConnectionRefused("refused");
  const error = await untilAborted(
    Promise.reject<Closable>(refused),
    new AbortController().signal,
  ).catch((error) => error);
  assertStrictEquals(error, refused);
});

Deno.test("untilAborted: an abort rejects with its reason and closes what is made later", async () => {
  const connecting = Promise.withResolvers<Closable>();
  const controller = new AbortController();
  const result = watch(untilAborted(connecting.promise, controller.signal));
  await turn();
  assertEquals(result.state, "pending");
  controller.abort("no more");
  await turn();
  assertEquals([result.state, result.reason], ["rejected", "no more"]);

  let closed = 0;
  connecting.resolve({ close: () => void closed++ });
  await turn();
  assertEquals(closed, 1);
});

Deno.test("untilAborted: a signal that has aborted already rejects too", async () => {
  let closed = 0;
  const conn = { close: () => void closed++ };
  const late = turn().then(() => conn);
  const error = await untilAborted(late, AbortSignal.abort("never"))
    .catch((error) => error);
  assertEquals(error, "never");
  await late;
  await turn();
  assertEquals(closed, 1);
});

Deno.test("untilAborted: leaves no listener on the signal", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (
    ...args: Parameters<typeof removeEventListener>
  ) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  await untilAborted(Promise.resolve({ close() {} }), signal);
  await assertRejects(() =>
    untilAborted(Promise.reject<Closable>(new Error("refused")), signal)
  );
  assertEquals(listeners, 0);
});

/** Coarse timers whose time passes when the test says so. */
class CoarseScene extends SingleTimer {
  readonly timers = new CoarseTimers(this.start, () => this.now);

  /** A timer that notes when it expires. */
  timer(expired: number[] = []): CoarseTimer {
    return new CoarseTimer(this.timers, () => void expired.push(this.now));
  }
}

Deno.test("CoarseTimers: a timer expires once, never early, and up to 10 ms late", () => {
  for (const begin of [0, 3.7, 9.99, 123_456.5]) {
    for (const ms of [0, 1, 10, 24, 999, 2_559, 2_560, 2_571, 60_000]) {
      const scene = new CoarseScene();
      scene.now = begin;
      const expired: number[] = [];
      scene.timer(expired).set(ms);
      scene.pass(ms + 100);
      assertEquals(expired.length, 1, `${begin} + ${ms}`);
      const late = expired[0]! - begin - ms;
      assert(late >= 0 && late <= 11, `${begin} + ${ms}: ${late} late`);
      assertEquals(scene.waiting, undefined);
    }
  }
});

Deno.test("CoarseTimers: thousands of timers a second share a hundred of the runtime", () => {
  const scene = new CoarseScene();
  let looks = 0;
  for (let i = 0; i < 5_000; i++) {
    const timer: CoarseTimer = new CoarseTimer(scene.timers, () => {
      looks++;
      timer.set(1_000);
    });
    timer.set(1_000);
    scene.pass(0.2);
  }
  scene.started = looks = 0;
  scene.pass(10_000);
  assert(looks >= 49_000 && looks <= 50_000, `${looks} looks`);
  assert(scene.started <= 1_001, `${scene.started} timers`);
});

Deno.test("CoarseTimers: a timer that is alone wakes the event loop once", () => {
  const scene = new CoarseScene();
  scene.timer().set(1_000);
  scene.pass(5_000);
  assertEquals(scene.started, 1);
});

Deno.test("CoarseTimers: setting a timer again replaces what was set, to sooner and to later", () => {
  const scene = new CoarseScene();
  const expired: number[] = [];
  const timer = scene.timer(expired);
  timer.set(500);
  timer.set(100);
  scene.pass(50);
  timer.set(800);
  timer.set(800);
  scene.pass(5_000);
  assertEquals(expired, [850]);
});

Deno.test("CoarseTimers: without a timer that is set, there is none of the runtime", () => {
  const scene = new CoarseScene();
  const expired: number[] = [];
  const [one, two] = [scene.timer(expired), scene.timer(expired)];
  one.set(100);
  two.set(200);
  one.cancel();
  one.cancel();
  assert(scene.waiting !== undefined);
  two.cancel();
  assertEquals(scene.waiting, undefined);
  scene.pass(1_000);
  assertEquals(expired, []);
  one.set(100);
  scene.pass(110);
  assertEquals(expired, [1_100]);
  assertEquals(scene.waiting, undefined);
});

Deno.test("CoarseTimers: a timer that expires may cancel and set others", () => {
  const scene = new CoarseScene();
  const expired: number[] = [];
  const cancelled = scene.timer(expired);
  const delayed = scene.timer(expired);
  const first = new CoarseTimer(scene.timers, () => {
    cancelled.cancel();
    delayed.set(300);
  });
  for (const timer of [first, cancelled, delayed]) timer.set(100);
  scene.pass(1_000);
  assertEquals(expired, [400]);
  assertEquals(scene.waiting, undefined);
});

Deno.test("CoarseTimers: the others expire when the callback of one throws", () => {
  const scene = new CoarseScene();
  const expired: number[] = [];
  const wrong = new CoarseTimer(scene.timers, () => {
    throw new Error("wrong");
  });
  for (const timer of [wrong, scene.timer(expired)]) timer.set(100);
  scene.timer(expired).set(150);
  assertThrows(() => scene.pass(120), Error, "wrong");
  scene.pass(1_000);
  assertEquals(expired, [101, 150]);
  assertEquals(scene.waiting, undefined);
});

Deno.test("CoarseTimers: what was due while the process stood still expires once it goes on", () => {
  const scene = new CoarseScene();
  const expired: number[] = [];
  for (const ms of [100, 2_000, 50_000]) scene.timer(expired).set(ms);
  scene.now = 20_000;
  scene.pass(40_000);
  assertEquals(expired, [20_000, 20_000, 50_000]);
});

Deno.test("coarseTimer: expires by itself, and leaves no timer", async () => {
  const expired = Promise.withResolvers<void>();
  const begun = performance.now();
  coarseTimer(expired.resolve).set(30);
  await expired.promise;
  assert(performance.now() - begun >= 30);
  const cancelled = coarseTimer(() => {});
  cancelled.set(60_000);
  cancelled.cancel();
});

Deno.test("loadedInTime: it passes on what was loaded and what fails, and leaves no timer", async () => {
  using time = new FakeTime();
  assertEquals(await loadedInTime(Promise.resolve(1)), 1);
  const error = new Error("gone");
  const failing = loadedInTime(Promise.reject(error));
  assertStrictEquals(await assertRejects(() => failing), error);
  assertEquals(time.waiting, 0);
});

Deno.test("loadedInTime: it waits for ten seconds, or as long as it is told", async () => {
  using time = new FakeTime();
  for (const ms of [undefined, 1_000]) {
    const loading = loadedInTime(new Promise<never>(() => {}), ms);
    const watched = watch(loading);
    time.tick((ms ?? 10_000) - 1);
    await turn();
    assertEquals(watched.state, "pending");
    time.tick(1);
    await assertRejects(() => loading, Error, `more than ${ms ?? 10_000} ms`);
    assertEquals(time.waiting, 0);
  }
});
