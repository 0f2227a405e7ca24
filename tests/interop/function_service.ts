/**
 * What the service has of functions among arguments and results, and of streams
 * that functions make and take: the Deno mirror of the service in go/ptr.go.
 *
 * @module
 */
import {
  type Call,
  type Callback,
  CallError,
  withCall,
  withStream,
} from "@qtalk/qtalk";

/** A function of the caller. */
type Fn<Result = unknown> = Callback<(value: unknown) => Result>;

/** What {@linkcode passingFunctions} makes. */
export type PassingFunctions = ReturnType<typeof passingFunctions>;

/** The reference wants the exact number; ours ignores what is too much. */
export function exactly<Args extends unknown[], Result>(
  expected: number,
  fn: (call: Call, ...args: Args) => Result,
): (...args: Args) => Result {
  return withCall((call, ...args: Args) => {
    if (args.length === expected) return fn(call, ...args);
    throw new CallError(`fn: expected ${expected} params, got ${args.length}`);
  });
}

/** Makes the functions; what is kept and counted is kept and counted in them. */
export function passingFunctions() {
  let kept: Fn | undefined;
  let left = 0;

  async function* numbers(count: number): AsyncGenerator<number> {
    if (count < 0) throw new CallError("there are no negative counts");
    let sent = 0;
    try {
      for (; sent < count; sent++) yield sent;
    } finally {
      if (sent < count) left++;
    }
  }

  return {
    Apply: exactly(2, (_call, fn: Fn, value: unknown) => fn(value)),
    Each: exactly(
      1,
      async (_call, { items, fn }: { items: unknown[]; fn: Fn }) => {
        const replies: unknown[] = [];
        for (const item of items) replies.push(await fn(item));
        return replies;
      },
    ),
    Keep: exactly(1, (_call, fn: Fn): void => {
      kept = fn.retain();
    }),
    Kept: exactly(1, (_call, value: unknown) => {
      if (kept === undefined) throw new CallError("there is no function");
      return kept(value);
    }),
    Adder: exactly(1, (_call, n: number) => (m: number) => n + m),
    Numbers: exactly(1, (_call, count: number) => numbers(count)),
    left: () => left,
    Total: withStream(async (values: AsyncIterable<number>) => {
      let total = 0;
      for await (const value of counted(values)) total += value;
      return total;
    }),
    Doubled: withStream(async function* (values: AsyncIterable<number>) {
      for await (const value of counted(values)) yield 2 * value;
    }),
  };
}

/**
 * The first value says how many come behind it: the reference's caller does not
 * end them while it waits for the response.
 */
async function* counted(values: AsyncIterable<number>): AsyncGenerator<number> {
  let missing: number | undefined;
  for await (const value of values) {
    if (missing === undefined) missing = value;
    else {
      yield value;
      missing--;
    }
    if (missing === 0) return;
  }
}
