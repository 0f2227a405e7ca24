import { redactedAddress } from "../../../printable_text.ts";
import { UsageError } from "../exit_code.ts";

/** An address and a selector, and the arguments after them. */
export interface Target {
  /** The address to dial. */
  readonly address: string;
  /** The selector to call. */
  readonly selector: string;
  /** The remaining arguments. */
  readonly rest: readonly string[];
}

/** `scheme://host`, and a path that may be a selector. */
const HOST_AND_PATH = /^([a-z]+:\/\/[^/]*)(\/.*)?$/i;
/** The same of a peer, whose rendezvous may have a path, but not its fingerprint. */
const PEER_AND_PATH = /^(peer:[^#]*#[^/]*)(\/.*)?$/i;
/** Schemes whose addresses have a path of their own. */
const WITH_PATH = /^(?:unix|wss?|wt):/i;

/**
 * Parses `ADDRESS/Selector …` or `ADDRESS SELECTOR …`.
 *
 * @throws {UsageError} if the address or the selector is missing
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
    throw new UsageError(
      `Cannot call "${redactedAddress(first)}": there is no selector`,
    );
  }
  return { address: joined.address, selector: second, rest };
}

/** Splits `ADDRESS/Selector`, if the scheme allows for a selector. */
export function splitAddress(
  text: string,
): { address: string; selector: string | undefined } {
  const [, host, path] = PEER_AND_PATH.exec(text) ??
    HOST_AND_PATH.exec(text) ?? [];
  if (host === undefined || WITH_PATH.test(text)) {
    return { address: text, selector: undefined };
  }
  return { address: host, selector: path === "/" ? undefined : path };
}

/** Whether an argument is an address and not a command. */
export function isAddress(text: string): boolean {
  return /^(?:tcp|tls|wss?|quic|wt):\/\/|^(?:unix|pipe):|^peer:[\w.-]+@/i
    .test(text);
}
