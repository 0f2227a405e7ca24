import { assertEquals } from "@std/assert";
import type { Attack, Findings, HealthyReport } from "./attack.ts";
import { attackNamed, ATTACKS, SHORT_FORM } from "./attacks.ts";
import { SMALL } from "./bounds.ts";
import {
  isDisturbed,
  isWorthAnotherTry,
  outcomeProblems,
  problemsOf,
} from "./verdict.ts";

const attack: Attack = {
  name: "some",
  about: "does something",
  memory: SMALL,
  outcome: "session ends",
  run: async () => {},
};
const healthy: HealthyReport = {
  calls: 100,
  failures: {},
  p50: 1,
  p99: 2,
  max: 3,
  connects: 10,
  connectMax: 4,
};
const findings: Findings = {
  sent: 1,
  lines: { "ended by the server": 1 },
  checks: [{ what: "it holds", holds: true }],
};
const measured = {
  attack: "some",
  about: "does something",
  bound: SMALL,
  peak: 0,
  held: 0,
  left: 0,
  usage: [],
  healthy,
  died: undefined,
  errors: { "limit-exceeded": 1 },
  findings,
  others: 0,
};

Deno.test("problemsOf: returns nothing for a row within all bounds", () => {
  assertEquals(problemsOf(attack, measured, healthy), []);
});

Deno.test("problemsOf: lists every bound that is broken", () => {
  const problems = problemsOf(attack, {
    ...measured,
    died: "SIGTRAP",
    peak: 2 ** 30,
    held: 2 ** 30,
    left: 2 ** 30,
    healthy: {
      ...healthy,
      p99: 60,
      max: 300,
      connectMax: 1_000,
      failures: { busy: 2 },
    },
    errors: {},
    findings: {
      ...findings,
      checks: [{ what: "it holds", holds: false, saw: "that" }],
    },
  }, healthy);
  assertEquals(problems, [
    "the server died: SIGTRAP",
    "p99 of calls is 60 ms",
    "a call took 300 ms",
    "a new connection took 1000 ms",
    "2 calls failed: busy",
    "the server grew by 1024 MiB",
    "1024 MiB are held while the attacker is connected",
    "1024 MiB are left when the attacker has gone",
    "the session does not end with a typed error: 0 open, no error",
    "not so: it holds (that)",
  ]);
});

Deno.test("problemsOf: p99 may be twice that of the control run", () => {
  const slow = { ...healthy, p99: 90 };
  const control = { ...healthy, p99: 46 };
  assertEquals(problemsOf(attack, { ...measured, healthy: slow }, control), []);
});

Deno.test("isDisturbed: only delays are excused, and only by other processes", () => {
  const disturbed = (
    others: number | undefined,
    change: Partial<typeof measured> = {},
  ) => {
    const slow = { ...healthy, p99: 90, max: 300, connectMax: 300 };
    const row = { ...measured, healthy: slow, others, ...change };
    const problems = problemsOf(attack, row, healthy);
    return isDisturbed({ ...row, problems }, healthy);
  };
  assertEquals(disturbed(1), true);
  assertEquals(disturbed(0.1), false);
  assertEquals(disturbed(undefined), false);
  assertEquals(disturbed(1, { peak: 2 ** 30 }), false, "memory");
  const open = { ...findings, lines: { open: 1 } };
  assertEquals(disturbed(1, { findings: open }), false, "no error");
  assertEquals(disturbed(1, { healthy }), false, "no problem");
  const failing = { ...healthy, p99: 90, failures: { busy: 1 } };
  assertEquals(disturbed(1, { healthy: failing }), false, "failed calls");
});

Deno.test("isWorthAnotherTry: the short form tries what fails again, the whole form only what was disturbed", () => {
  const again = (short: boolean, problems: string[], others: number) => {
    const slow = { ...healthy, p99: 300 };
    const row = { ...measured, healthy: slow, problems, others };
    return isWorthAnotherTry(row, healthy, { short, slack: 1 });
  };
  const late = "p99 of calls is 300 ms", grown = "the server grew by 9 MiB";
  assertEquals([again(true, [], 1), again(false, [], 1)], [false, false]);
  assertEquals([again(true, [late], 1), again(false, [late], 1)], [true, true]);
  assertEquals([again(true, [late], 0), again(false, [late], 0)], [
    true,
    false,
  ]);
  assertEquals([again(true, [grown], 1), again(false, [grown], 1)], [
    true,
    false,
  ]);
});

Deno.test("outcomeProblems: each outcome requires certain states and errors", () => {
  const ended: Findings = { ...findings, lines: { "reset by the server": 1 } };
  const open: Findings = { ...findings, lines: { open: 1 } };
  const limit = { "limit-exceeded": 1 };
  const holds = (
    outcome: Attack["outcome"],
    findings: Findings,
    errors: Record<string, number>,
  ) => outcomeProblems({ ...attack, outcome }, findings, errors).length === 0;
  assertEquals(
    [
      holds("session ends", ended, limit),
      holds("session ends", open, limit),
      holds("session ends", ended, {}),
      holds("may end", open, {}),
      holds("may end", ended, limit),
      holds("may end", ended, {}),
      holds("lives", open, {}),
      holds("lives", ended, limit),
    ],
    [true, false, false, true, true, false, true, false],
  );
  const exact = { ...ended, expectedErrors: ["a-b", "a-b"] };
  assertEquals(holds("session ends", exact, { "a-b": 2 }), true);
  assertEquals(holds("session ends", exact, { "a-b": 1 }), false);
});

Deno.test("attacks: names are unique, and references to them resolve", () => {
  const names = ATTACKS.map(({ name }) => name);
  assertEquals(new Set(names).size, names.length);
  for (const { beside } of ATTACKS) {
    if (beside !== undefined) attackNamed(beside);
  }
  for (const name of SHORT_FORM.keys()) attackNamed(name);
});
