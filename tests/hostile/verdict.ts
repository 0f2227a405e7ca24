/**
 * Compares a row of the table with its bounds.
 *
 * @module
 */
import type { Attack, Findings, HealthyReport, Measured } from "./attack.ts";
import {
  HEALTHY_MAX,
  HEALTHY_P99,
  HEALTHY_P99_OF_CONTROL,
  LEFTOVER,
  SESSION_BUDGET,
} from "./bounds.ts";

/** Codes of a session that the server ended for breaking rules or limits. */
const TYPED = ["limit-exceeded", "protocol-error"];

/** Problems with how long the healthy client waited; see {@linkcode problemsOf}. */
function delays(
  { p99, max, connectMax }: HealthyReport,
  control: HealthyReport | undefined,
  slack: number,
): string[] {
  const problems: string[] = [];
  const limit = slack * Math.max(
    HEALTHY_P99,
    HEALTHY_P99_OF_CONTROL * (control?.p99 ?? 0),
  );
  const maxLimit = slack * HEALTHY_MAX;
  if (p99 >= limit) problems.push(`p99 of calls is ${ms(p99)}`);
  if (max >= maxLimit) problems.push(`a call took ${ms(max)}`);
  if (connectMax >= maxLimit) {
    problems.push(`a new connection took ${ms(connectMax)}`);
  }
  return problems;
}

/** Problems with the healthy client's figures. */
export function healthProblems(
  healthy: HealthyReport | undefined,
  control: HealthyReport | undefined,
  slack = 1,
): string[] {
  if (healthy === undefined) return ["the healthy client gave no report"];
  const problems: string[] = [];
  const { failures, calls } = healthy;
  if (calls === 0) problems.push("no call was answered");
  problems.push(...delays(healthy, control, slack));
  for (const [text, count] of Object.entries(failures)) {
    problems.push(`${count} calls failed: ${text}`);
  }
  return problems;
}

/** Cores that others may use without a healthy client being slower. */
const QUIET = 0.3;

/**
 * Whether nothing is wrong with a row but that the healthy client waited, while
 * other processes kept the machine busy.
 */
export function isDisturbed(
  { problems, healthy, others }: Measured,
  control: HealthyReport | undefined,
  slack = 1,
): boolean {
  if (healthy === undefined || (others ?? 0) < QUIET) return false;
  const waited = delays(healthy, control, slack);
  return problems.length > 0 &&
    problems.every((problem) => waited.includes(problem));
}

/**
 * Whether a row is tried again: in the short form each that fails, and in the whole
 * form one that was disturbed.
 */
export function isWorthAnotherTry(
  row: Measured,
  control: HealthyReport | undefined,
  { short, slack }: { short: boolean; slack: number },
): boolean {
  return short ? row.problems.length > 0 : isDisturbed(row, control, slack);
}

/** Problems with how the attacking session went on or ended. */
export function outcomeProblems(
  { outcome, beside }: Attack,
  { lines, expectedErrors }: Findings,
  errors: Record<string, number>,
): string[] {
  const codes = Object.keys(errors);
  if (expectedErrors !== undefined) {
    const expected = count(expectedErrors);
    return same(expected, errors) ? [] : [
      `errors are ${JSON.stringify(errors)}, not ${JSON.stringify(expected)}`,
    ];
  }
  const open = lines["open"] ?? 0;
  const over = Object.values(lines).reduce((sum, n) => sum + n, 0) - open;
  const typed = codes.some((code) => TYPED.includes(code));
  switch (outcome) {
    case "session ends":
      if (typed && open === 0) return [];
      return [
        `the session does not end with a typed error: ${open} open, ${
          codes.join(", ") || "no error"
        }`,
      ];
    case "may end":
      return over > 0 && !codes.some(isTyped)
        ? [`${over} sessions end without a typed error`]
        : [];
    case "not judged":
      return [];
    case "lives":
      if (over > 0 || typed && beside === undefined) {
        return [`an honest session ends: ${codes.join(", ")}`];
      }
      return [];
  }
}

/**
 * All problems of a row.
 *
 * @param slack how many times longer than wanted the healthy client may wait
 */
export function problemsOf(
  attack: Attack,
  measured: Omit<Measured, "problems">,
  control: HealthyReport | undefined,
  slack = 1,
): string[] {
  const { died, peak, held, left, healthy, findings, errors } = measured;
  const problems: string[] = [];
  if (died !== undefined) problems.push(`the server died: ${died}`);
  problems.push(...healthProblems(healthy, control, slack));
  if (peak !== undefined && peak > attack.memory) {
    problems.push(`the server grew by ${mib(peak)}`);
  }
  const allowed = (attack.held ?? SESSION_BUDGET) + LEFTOVER;
  if (held !== undefined && held > allowed) {
    problems.push(`${mib(held)} are held while the attacker is connected`);
  }
  if (left !== undefined && left > (attack.left ?? 0) + LEFTOVER) {
    problems.push(`${mib(left)} are left when the attacker has gone`);
  }
  if (findings === undefined) {
    problems.push("the attacker gave no report");
    return problems;
  }
  problems.push(...outcomeProblems(attack, findings, errors));
  for (const { what, holds, saw } of findings.checks) {
    const text = `not so: ${what}${saw === undefined ? "" : ` (${saw})`}`;
    if (!holds && !problems.includes(text)) problems.push(text);
  }
  return problems;
}

/** Counts occurrences. */
export function count(codes: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const code of codes) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}

function same(a: Record<string, number>, b: Record<string, number>): boolean {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => a[key] === b[key]);
}

/** Whether it is a code of the library's errors, and not a class name. */
function isTyped(code: string): boolean {
  return /^[a-z]+(-[a-z]+)*$/.test(code);
}

/** Formats milliseconds. */
export function ms(time: number): string {
  return `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`;
}

/** Formats bytes. */
export function mib(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
