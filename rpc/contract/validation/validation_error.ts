import { printableText } from "../../../printable_text.ts";
import type { StandardIssue } from "./standard_schema.ts";

/** One thing that is wrong with a value. */
export interface ValidationIssue {
  /**
   * Where it is wrong: the position of the argument, or of the value of a stream,
   * and then the path within that value. For metadata, it begins with `"meta"`. For
   * a callback, it is relative to the callback's own arguments or result.
   */
  readonly path: readonly (string | number)[];
  /** What is wrong, in the words of the schema; at most 256 characters. */
  readonly message: string;
}

/**
 * This side has found a value that does not match its schema: a client that
 * validates, or a handler whose result is wrong. (A caller whose arguments the peer
 * refuses gets a `RemoteError` with the code `invalid-argument`, and the issues as
 * its `details`.)
 */
export class ValidationError extends Error {
  /** Always `"ValidationError"`. */
  override readonly name = "ValidationError";
  /**
   * `invalid-argument` if the value is an argument, and the call was not made or
   * not completed; `invalid-result` if it is a result or the details of an error.
   * The call may be one of a callback.
   */
  readonly code: "invalid-argument" | "invalid-result";
  /** What is wrong: up to 32 issues. */
  readonly issues: readonly ValidationIssue[];

  /**
   * Made where values are validated.
   *
   * @param code what the value is
   * @param message what was attempted, and the first issue
   * @param issues what is wrong
   */
  constructor(
    code: "invalid-argument" | "invalid-result",
    message: string,
    issues: readonly ValidationIssue[],
  ) {
    super(message);
    this.code = code;
    this.issues = issues;
  }
}

/** The most issues that are kept. */
const MAX_ISSUES = 32;
/** The most characters of the message of an issue. */
const MAX_MESSAGE = 256;
/** The most keys of a path, and the most characters of such a key. */
const MAX_PATH = 32;
const MAX_KEY = 64;
/**
 * The most characters of all issues after the first one. They must fit in a header
 * of 64 KiB, and a caller may send any number of things that are wrong.
 */
const MAX_SIZE = 4_096;

/**
 * Issues as the caller gets them: within limits, because values of the peer
 * determine how many there are and how long they are.
 *
 * @param issues what the schema says
 * @param base where the value is that it says this of
 */
export function issuesAt(
  issues: readonly StandardIssue[],
  base: readonly (string | number)[],
): ValidationIssue[] {
  // Arrays of some libraries are of classes that `slice()` cannot make.
  const kept = [...issues].slice(0, MAX_ISSUES);
  // A schema that refuses a value need not say why.
  if (kept.length === 0) return [{ path: base, message: "Invalid value" }];
  return kept.map(({ message, path = [] }) => ({
    path: [...base, ...[...path].slice(0, MAX_PATH).map(keyOf)],
    message: shortened(String(message), MAX_MESSAGE),
  }));
}

/** The issues to send, within the limits. */
export function limited(
  issues: readonly ValidationIssue[],
): readonly ValidationIssue[] {
  let size = 0;
  return issues.slice(0, MAX_ISSUES).filter(({ path, message }, i) => {
    size += message.length + path.join().length;
    return i === 0 || size <= MAX_SIZE;
  });
}

/**
 * The first issue in words.
 *
 * @param issues what is wrong, at least one thing
 * @param what the name of the value, such as `args`
 */
export function described(
  issues: readonly ValidationIssue[],
  what: string,
): string {
  const [{ path, message }] = issues as [ValidationIssue];
  const more = issues.length > 1 ? `, and ${issues.length - 1} more` : "";
  // Metadata is not among the arguments.
  const [first, ...rest] = path;
  const [start, keys] = first === "meta" && what === "args"
    ? [first, rest]
    : [what, path];
  return `${placeOf(start, keys)} is invalid: ${printableText(message)}${more}`;
}

/** A place as it is written in a program, such as `args[0].name`. */
export function placeOf(
  start: string,
  keys: readonly (string | number)[],
): string {
  return start + keys.map(accessOf).join("");
}

/** A key as it is written in a program. */
function accessOf(key: string | number): string {
  if (typeof key === "number") return `[${key}]`;
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key)
    ? `.${key}`
    : `[${printableText(JSON.stringify(key))}]`;
}

function keyOf(
  segment: PropertyKey | { readonly key: PropertyKey },
): string | number {
  // The key of a `Map` may be `null`.
  const key: unknown = typeof segment === "object" && segment !== null
    ? segment.key
    : segment;
  switch (typeof key) {
    case "number":
      return key;
    case "string":
      return shortened(key, MAX_KEY);
    // Or any other value.
    case "object":
    case "function":
      return `(${typeof key})`;
    default:
      return shortened(String(key), MAX_KEY);
  }
}

function shortened(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max - 1)}…` : text;
}
