/**
 * What a server says about itself. It may be any server: what it says is checked, and
 * of no use if it is not a description.
 *
 * @module
 */
import { RemoteError } from "../../../rpc/internal.ts";
import type {
  ServiceDescription,
  ServiceHealth,
} from "../../../rpc/internal_cli.ts";
import type { Peer } from "../../peer.ts";
import { CODEC_OPTION, codecName } from "../options/codec_option.ts";
import type { OptionSpec } from "../command.ts";
import {
  DIAL_OPTIONS,
  type GivenDialOptions,
} from "../options/connection_options.ts";
import { dialPeer } from "../dial_peer.ts";
import { NotDescribed } from "../exit_code.ts";
import type { Terminal } from "../terminal.ts";

/** The options of commands that ask for a description and nothing else. */
export const ASK_OPTIONS = {
  codec: CODEC_OPTION,
  timeout: {
    type: "string",
    value: "SECONDS",
    about: "for connecting (default 30) and the answer (default 10)",
  },
  ...DIAL_OPTIONS,
} as const satisfies Record<string, OptionSpec>;

const DESCRIBE = "/_qtalk/describe";
const HEALTH = "/_qtalk/health";

/** Seconds that an answer may take, for those who want nothing else. */
const TIMEOUT = 10;

/** How deep functions, streams and objects are checked: deeper than they are written. */
const MAX_DEPTH = 64;

/** A selector as descriptions write it: `math.add` for `/math/add`. */
export function dotted(selector: string): string {
  return selector.replace(/^[/.]/, "").replaceAll("/", ".");
}

/** Those options, as they were given. */
type GivenAskOptions = GivenDialOptions & {
  readonly codec?: string | undefined;
};

/**
 * Dials a server and asks it to describe itself.
 *
 * @param seconds for connecting and for the answer, each; undefined for the defaults
 * @param options those of the command
 * @throws {UsageError} as for `dialPeer()`
 * @throws {NotDescribed} as for {@linkcode askDescription}
 */
export async function fetchDescription(
  { address, selector }: { address: string; selector: string | undefined },
  seconds: number | undefined,
  options: GivenAskOptions,
  terminal: Terminal,
): Promise<ServiceDescription> {
  return await ask(
    address,
    seconds,
    options,
    terminal,
    (peer, timeout) => askDescription(peer, selector, timeout),
  );
}

/**
 * Dials a server and asks it for its health.
 *
 * @param seconds for connecting and for the answer, each; undefined for the defaults
 * @param options those of the command
 * @throws {UsageError} as for `dialPeer()`
 * @throws {NotDescribed} if it does not tell
 */
export async function fetchHealth(
  address: string,
  seconds: number | undefined,
  options: GivenAskOptions,
  terminal: Terminal,
): Promise<ServiceHealth> {
  const answer = await ask(
    address,
    seconds,
    options,
    terminal,
    (peer, timeout) => askMethod(peer, HEALTH, null, timeout),
  );
  if (isHealth(answer)) return answer;
  throw new NotDescribed(
    "The server does not tell its health: it answers with something else",
  );
}

/** Dials a server, to ask it something. */
async function ask<T>(
  address: string,
  seconds: number | undefined,
  options: GivenAskOptions,
  terminal: Terminal,
  question: (peer: Peer, timeout: number) => Promise<T>,
): Promise<T> {
  await using peer = await dialPeer(
    address,
    codecName(options.codec, "json"),
    options,
    terminal,
    seconds === undefined ? {} : { timeout: seconds * 1_000 },
  );
  return await terminal.waiting(
    "Waiting for the answer",
    question(peer, (seconds ?? TIMEOUT) * 1_000),
  );
}

/**
 * Asks a server to describe itself.
 *
 * @param selector the method or group that it is asked about; all if undefined
 * @param timeout in milliseconds
 * @throws {NotDescribed} if it does not do so
 * @throws {RemoteError} if it refuses to
 */
export async function askDescription(
  peer: Peer,
  selector: string | undefined,
  timeout: number,
): Promise<ServiceDescription> {
  const args = selector === undefined ? null : [selector];
  const answer = await askMethod(peer, DESCRIBE, args, timeout);
  if (isDescription(answer)) return answer;
  throw new NotDescribed(
    "The server does not describe itself: it answers with something else",
  );
}

/**
 * Calls a method of reflection.
 *
 * @throws {NotDescribed} if there is no such method
 */
async function askMethod(
  peer: Peer,
  selector: string,
  args: unknown,
  timeout: number,
): Promise<unknown> {
  try {
    return await peer.call(selector, args, { timeout });
  } catch (cause) {
    if (!(cause instanceof RemoteError) || !isNotFound(cause)) throw cause;
    const what = selector === HEALTH ? "tell its health" : "describe itself";
    throw new NotDescribed(`The server does not ${what}`, { cause });
  }
}

/** Whether a server has no such method; those in Go have no codes. */
function isNotFound({ code, text }: RemoteError): boolean {
  return code === "not-found" || text.startsWith("not found");
}

function isHealth(value: unknown): value is ServiceHealth {
  return isObject(value) &&
    (value.status === "serving" || value.status === "not-serving");
}

function isDescription(value: unknown): value is ServiceDescription {
  if (!isObject(value)) return false;
  const { name, version, doc, methods } = value;
  return [name, version, doc].every(isText) && Array.isArray(methods) &&
    methods.every(isMethod);
}

function isMethod(value: unknown): boolean {
  if (!isObject(value) || typeof value.selector !== "string") return false;
  const { params } = value;
  return (params === undefined || Number.isSafeInteger(params)) &&
    isCallable(value, 0);
}

/** Whether a value describes what a method or a function takes and answers. */
function isCallable(value: unknown, depth: number): boolean {
  if (!isObject(value)) return false;
  const { kind, doc, args, rest, result, meta, errors } = value;
  const isPart = (one: unknown) => isDescribed(one, depth + 1);
  return isText(kind) && isText(doc) &&
    (args === undefined || Array.isArray(args) && args.every(isPart)) &&
    [rest, result, meta].every((one) => one === undefined || isPart(one)) &&
    (errors === undefined ||
      isObject(errors) && Object.values(errors).every(isPart));
}

/** Whether a value describes another one. What is deeper is not looked at. */
function isDescribed(value: unknown, depth: number): boolean {
  if (!isObject(value)) return false;
  if (depth > MAX_DEPTH) return true;
  const { callback, values, members } = value;
  return (callback === undefined || isCallable(callback, depth)) &&
    (values === undefined || isDescribed(values, depth + 1)) &&
    (members === undefined ||
      isObject(members) &&
        Object.values(members).every((one) => isDescribed(one, depth + 1)));
}

function isText(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
