/**
 * What a call goes to: an address and a selector, in one word or in two.
 *
 * @module
 */
import { UsageError } from "./exit_code.ts";

/** A selector at an address, and the words behind them. */
export interface Target {
  /** Where to dial. */
  readonly address: string;
  /** What to call. */
  readonly selector: string;
  /** The arguments. */
  readonly rest: readonly string[];
}

/** `scheme://host`, and what may be a selector behind it. */
const HOST_AND_PATH = /^([a-z]+:\/\/[^/]*)(\/.*)?$/i;
/** These have a path of their own. */
const WITH_PATH = /^(?:unix|wss?):/i;

/**
 * Finds address and selector in `ADDRESS/Selector …` or `ADDRESS SELECTOR …`.
 *
 * @throws {UsageError} if one of them is missing
 */
export function targetFrom(words: readonly string[]): Target {
  const [first, second, ...rest] = words;
  if (first === undefined) {
    throw new UsageError("Cannot call: there is no address");
  }
  const joined = splitAddress(first);
  if (joined.selector !== undefined) {
    return { ...joined, selector: joined.selector, rest: words.slice(1) };
  }
  if (second === undefined) {
    throw new UsageError(`Cannot call "${first}": there is no selector`);
  }
  return { address: joined.address, selector: second, rest };
}

/** Takes a selector off an address, if there is one and it can have one. */
export function splitAddress(
  text: string,
): { address: string; selector: string | undefined } {
  const [, host, path] = HOST_AND_PATH.exec(text) ?? [];
  if (host === undefined || WITH_PATH.test(text)) {
    return { address: text, selector: undefined };
  }
  return { address: host, selector: path === "/" ? undefined : path };
}

/** Whether a word is an address, and no command. */
export function isAddress(text: string): boolean {
  return /^(?:tcp|wss?):\/\/|^unix:/i.test(text);
}
