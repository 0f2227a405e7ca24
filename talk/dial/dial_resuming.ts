/**
 * The option `resume` of `dial()`: how the connections of a session are made.
 *
 * @module
 */
import { checkFunctions, wrongKind } from "../../check_option.ts";
import "../mod.ts"; // Keeps bundles in few chunks.
import { isSessionTransport, type loadResume } from "../../mux/internal.ts";
import {
  ask,
  type Begin,
  connectOnce,
  type ConnectOptions,
  DEFAULT_CONNECT_TIMEOUT,
  type DialAddress,
  type Provided,
  type ResumeOptions,
} from "./dial.ts";
import { TalkError } from "../errors.ts";
import { Backoff, wait } from "../reconnect/backoff.ts";

/**
 * The longest delay between two attempts, in milliseconds: the session waits, and
 * not for long.
 */
const MAX_DELAY_BETWEEN = 5_000;

/**
 * Makes what a first connection becomes: a session that makes others.
 *
 * @throws {RangeError} if a limit is out of range
 * @throws {TalkError} `dial-failed` if an option is of the wrong type
 */
export function resuming(
  { beginSession, resolveResumeLimits, whileOpen }: Awaited<
    ReturnType<typeof loadResume>
  >,
  place: Provided<DialAddress>,
  resume: ResumeOptions,
  options: ConnectOptions,
): Begin {
  let limits: ReturnType<typeof resolveResumeLimits>;
  try {
    limits = resolveResumeLimits(resume);
    checkFunctions(resume, "onState");
    checkAddresses(resume.addresses);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // After a TypeError, which a function that gives the address may have thrown, a
    // peer that reconnects would try again.
    throw new TalkError("dial-failed", `Cannot dial: ${error.message}`, {
      cause: error,
      permanent: true,
    });
  }
  const places = new Places(resume.addresses ?? place);
  const backoff = new Backoff(
    { minDelay: 100, maxDelay: MAX_DELAY_BETWEEN },
    Math.random,
  );
  const environment = {
    async connect(signal: AbortSignal) {
      const next = () => places.next(signal);
      const terms = { ...options, signal };
      return (await connectOnce(next, terms, true)).transport;
    },
    attemptTimeout: options.timeout ?? DEFAULT_CONNECT_TIMEOUT,
    backoff,
    wait,
  };
  return async (transport, signal) => {
    if (isSessionTransport(transport)) {
      void transport.close();
      throw new TypeError(
        'option "resume" is for byte streams, and quic: has none',
      );
    }
    return await whileOpen(transport, signal, () =>
      beginSession(transport, {
        limits,
        keepAlive: options.session?.keepAlive,
        onState: resume.onState,
      }, environment));
  };
}

/**
 * Checks the option `resume.addresses`, if it is given: the first attempt to use it is
 * made when a connection is lost.
 *
 * @throws {TypeError} if it is of the wrong type
 */
function checkAddresses(addresses: unknown): void {
  if (addresses === undefined || typeof addresses === "function") return;
  const all = [addresses].flat();
  if (all.length > 0 && all.every((one) => typeof one === "string")) return;
  const expected = "an address, several, or a function";
  throw wrongKind('option "resume.addresses"', addresses, expected);
}

/** Addresses that are tried one after the other. */
class Places {
  readonly #places: Provided<string | readonly string[]>;
  #count = 0;

  /** Begins with the first. */
  constructor(places: Provided<string | readonly string[]>) {
    this.#places = places;
  }

  /** The address for the next attempt. */
  async next(signal: AbortSignal): Promise<string> {
    const places = await ask(this.#places, signal);
    if (typeof places === "string") return places;
    return places[this.#count++ % places.length]!;
  }
}
