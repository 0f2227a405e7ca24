import { assertEquals } from "@std/assert";
import type { Figures } from "./figures.ts";
import { problemsOf, type Sample } from "./verdict.ts";

const MIB = 1024 * 1024;

const CALM: Figures = {
  alive: 10 * MIB,
  rss: 90 * MIB,
  files: 30,
  resources: 12,
  timers: 3,
  peers: 6,
  channels: 0,
  slots: 0,
  callbacks: 0,
  held: 0,
  running: 0,
};

/** A run whose server has these figures at each rest, after so many acts between. */
function run(
  of: (i: number) => Partial<Figures>,
  count = 40,
  acts = 2_000,
): Sample[] {
  return Array.from({ length: count }, (_, i) => ({
    at: 10 * i,
    done: acts * i,
    server: { ...CALM, ...of(i) },
    client: CALM,
  }));
}

Deno.test("soak verdict: figures that stay are no problem", () => {
  assertEquals(problemsOf(run(() => ({}))), []);
});

Deno.test("soak verdict: memory that goes up and down is no problem", () => {
  const samples = run((i) => ({ alive: CALM.alive + (i % 5) * 4 * MIB }));
  assertEquals(problemsOf(samples), []);
});

Deno.test("soak verdict: memory that grows in the warm-up is no problem", () => {
  const samples = run((i) => ({
    alive: CALM.alive + Math.min(i, 5) * 9 * MIB,
  }));
  assertEquals(problemsOf(samples), []);
});

Deno.test("soak verdict: on a busy machine, which does less between rests, the warm-up has more of them", () => {
  // It grows until 8,000 acts are done.
  const grows = (i: number) => ({
    alive: CALM.alive + Math.min(i, 16) * 3 * MIB,
  });
  assertEquals(problemsOf(run(grows, 40, 500)), []);
  const leaks = (i: number) => ({ alive: CALM.alive + i * 0.2 * MIB });
  assertEquals(problemsOf(run(leaks, 40, 500)), [
    "server: alive grew by 4.6 MiB",
  ]);
  // After too few acts, there is no trend.
  assertEquals(problemsOf(run(leaks, 40, 250)), []);
});

Deno.test("soak verdict: memory that grows slowly is a problem", () => {
  const samples = run((i) => ({ alive: CALM.alive + i * 0.1 * MIB }));
  assertEquals(problemsOf(samples), ["server: alive grew by 3.3 MiB"]);
  const resident = run((i) => ({ rss: CALM.rss + i * MIB }));
  assertEquals(problemsOf(resident), ["server: rss grew by 33.0 MiB"]);
});

Deno.test("soak verdict: files, timers and sessions that become more are a problem", () => {
  const samples = run((i) => ({
    files: CALM.files + Math.floor(i / 10),
    timers: CALM.timers + Math.floor(i / 20),
    peers: CALM.peers + i,
  }));
  assertEquals(problemsOf(samples), [
    "server: files grew from 31 to 33",
    "server: timers grew from 3 to 4",
    "server: peers grew from 20 to 37",
  ]);
});

Deno.test("soak verdict: one channel that stays open is a problem, even in a short run", () => {
  const samples = run((i) => ({ channels: i === 2 ? 1 : 0 }), 3);
  assertEquals(problemsOf(samples), [
    "server: channels was not 0 at 1 of 3 rests, 1 after 20 s",
  ]);
});

Deno.test("soak verdict: a short run has no trend", () => {
  assertEquals(problemsOf(run(() => ({}), 1)), []);
  assertEquals(problemsOf([]), ["nothing was measured"]);
  assertEquals(problemsOf(run((i) => ({ alive: i * 50 * MIB }), 4)), []);
});
