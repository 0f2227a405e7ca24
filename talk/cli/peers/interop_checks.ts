/**
 * The checks of an interop service: those of qtalk-go, which prints responses
 * where these checks compare them.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { MuxError } from "../../../mux/internal.ts";
import {
  type Caller,
  RemoteError,
  type RpcResponse,
} from "../../../rpc/internal.ts";

/** A check of an interop service. */
export interface Check {
  /** What is checked. */
  readonly name: string;
  /**
   * Runs the check; resolves to a detail worth printing, if there is one.
   *
   * @throws {unknown} why the check failed
   */
  run(caller: Caller): Promise<string | void>;
}

/** A response that is not what was expected. */
export class Mismatch extends Error {
  /** Always `"Mismatch"`. */
  override readonly name = "Mismatch";

  /** Makes an error that shows both values. */
  constructor(expected: unknown, actual: unknown) {
    super(`Expected ${inLine(expected)}, got ${inLine(actual)}`);
  }
}

function inLine(value: unknown): string {
  return Deno.inspect(value, { breakLength: Infinity, strAbbreviateSize: 100 });
}

function compare(expected: unknown, actual: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) {
    throw new Mismatch(expected, actual);
  }
}

/** The values that are sent and must be returned. */
const VALUES: readonly unknown[] = [
  100,
  true,
  "hello",
  { foo: "bar" },
  [1, 2, 3],
];
const SIZES = { "1 B": 1, "1 KiB": 2 ** 10, "1 MiB": 2 ** 20 } as const;
/** The most bytes that `crypto.getRandomValues()` fills. */
const RANDOM_BYTES = 65_536;

/** All checks, in their order. */
export const CHECKS: readonly Check[] = [
  {
    name: 'Error "test"',
    async run(caller) {
      compare("test", await failure(caller, "Error", "test"));
    },
  },
  {
    name: "an unknown selector",
    run: (caller) => failure(caller, "BadSelector", "test"),
  },
  ...VALUES.map((value): Check => ({
    name: `Unary ${JSON.stringify(value)}`,
    async run(caller) {
      compare(value, await caller.call("Unary", value));
    },
  })),
  {
    name: `Stream of ${VALUES.length} values`,
    run: (caller) => checkStream(caller),
  },
  ...Object.entries(SIZES).map(([text, size]): Check => ({
    name: `Bytes, ${text}`,
    run: (caller) => checkBytes(caller, size),
  })),
];

/** The text of the error response that the call must have. */
async function failure(
  caller: Caller,
  selector: string,
  value: unknown,
): Promise<string> {
  let answer: unknown;
  try {
    answer = await caller.call(selector, value);
  } catch (error) {
    if (error instanceof RemoteError) return error.text;
    throw error;
  }
  throw new Error(`Expected an error, got ${inLine(answer)}`);
}

async function checkStream(caller: Caller): Promise<void> {
  await using response = await caller.request("Stream", null);
  compare(null, response.value);
  const { writable } = channelOf(response);
  const send = async () => {
    for (const value of VALUES) await response.send(value);
    await writable.close();
  };
  const receive = async () => {
    const values: unknown[] = [];
    for (;;) {
      const value = await response.receive();
      if (value === undefined) return values;
      values.push(value);
    }
  };
  const [values] = await Promise.all([receive(), untilClosed(send())]);
  compare(VALUES, values);
}

async function checkBytes(caller: Caller, size: number): Promise<void> {
  const sent = new Uint8Array(size);
  for (let at = 0; at < size; at += RANDOM_BYTES) {
    crypto.getRandomValues(sent.subarray(at, at + RANDOM_BYTES));
  }
  await using response = await caller.request("Bytes", null);
  compare(null, response.value);
  const { readable, writable } = channelOf(response);
  const [received] = await Promise.all([
    new Response(readable).bytes(),
    untilClosed(new Blob([sent]).stream().pipeTo(writable)),
  ]);
  compare(size, received.length);
  const at = received.findIndex((byte, i) => byte !== sent[i]);
  if (at >= 0) {
    throw new Error(
      `Expected ${sent[at]} for byte ${at} of ${size}, got ${received[at]}`,
    );
  }
}

/**
 * Awaits sending, even if the other end closes the call first: the response
 * shows what is wrong then.
 */
async function untilClosed(sending: Promise<void>): Promise<void> {
  try {
    await sending;
  } catch (error) {
    if (!(error instanceof MuxError) || error.code !== "channel-closed") {
      throw error;
    }
  }
}

/** The channel of a continued response. */
export function channelOf(
  response: RpcResponse,
): NonNullable<RpcResponse["channel"]> {
  if (response.channel !== undefined) return response.channel;
  throw new Error(
    `Expected a response that continues, got ${inLine(response.values)}`,
  );
}
