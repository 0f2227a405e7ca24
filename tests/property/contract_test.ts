// That a handler of a contract never sees an invalid value, whatever a caller
// sends: for each library of schemas, 10,000 calls with arguments that are random,
// or valid but for a part. What is valid is decided here, without the schemas.

import { assert, assertEquals } from "@std/assert";
import { RemoteError } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import {
  contract,
  implement,
  method,
  streamOf,
  type ValidationIssue,
} from "@qtalk/qtalk/contract";
import { test } from "../support/harness.ts";
import { forSeeds, type Random, runsAllSeeds } from "../support/random.ts";
import {
  SCHEMA_LIBRARIES,
  type SchemaLibrary,
} from "../support/schema_libraries.ts";

const SEEDS = 50;
const CALLS = 200;

/** Says whether a value is what the schema of an argument describes. */
type Predicate = (value: unknown) => boolean;

const isNumber: Predicate = (value) =>
  typeof value === "number" && !Number.isNaN(value);
const isText: Predicate = (value) => typeof value === "string";
/** On the wire, `undefined` is `null`. */
const isMaybe = (is: Predicate): Predicate => (value) =>
  value === undefined || value === null || is(value);
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null &&
  [Object.prototype, null].includes(Object.getPrototypeOf(value));
const isUser: Predicate = (value) =>
  isRecord(value) && Object.hasOwn(value, "name") && isText(value["name"]) &&
  Object.hasOwn(value, "age") && Number.isSafeInteger(value["age"]) &&
  (value["age"] as number) >= 0;
const isExactUser: Predicate = (value) =>
  isUser(value) && Object.keys(value as object).length === 2;
const isUsers: Predicate = (value) =>
  Array.isArray(value) && value.every((user) => isUser(user));

/** The methods: what each argument is as it is sent, and as it is seen. */
const METHODS: Record<string, readonly [sent: Predicate, seen: Predicate][]> = {
  user: [[isUser, isExactUser]],
  strict: [[isExactUser, isExactUser]],
  loose: [[isUser, isUser], [isText, isText]],
  users: [[isUsers, (users) => (users as unknown[]).every(isExactUser)]],
  length: [[isText, isNumber]],
  five: [
    [isMaybe(isNumber), isNumber],
    [isMaybe(isText), (text) => text === undefined || isText(text)],
  ],
};

/** A service that notes what it sees. */
function service(schemas: SchemaLibrary, seen: unknown[][]) {
  const { user, strictUser, looseUser, users, text } = schemas;
  const api = contract({
    name: "seen",
    methods: {
      user: method({ args: [user] }),
      strict: method({ args: [strictUser] }),
      loose: method({ args: [looseUser, text] }),
      users: method({ args: [users] }),
      length: method({ args: [schemas.length] }),
      five: method({ args: [schemas.five, schemas.maybeText] }),
      stream: method({ args: [streamOf(user)] }),
    },
  });
  const note = (...args: unknown[]) => void seen.push(args);
  return implement(api, {
    user: note,
    strict: note,
    loose: note,
    users: note,
    length: note,
    five: note,
    async stream(values) {
      for await (const value of values) note(value);
    },
  });
}

const KEYS = ["name", "age", "admin", "__proto__", "constructor", "length", ""];

/** Any value, of those that the codec carries. */
function anyValue(random: Random, depth: number, all: boolean): unknown {
  switch (random.int(0, depth > 0 ? 9 : 6)) {
    case 0:
      return null;
    case 1:
      return random.chance(0.5);
    case 2:
      return random.int(-3, 90);
    case 3:
      return random.pick([-1, 0.5, 1e-7, -0.25, 2 ** 31, -(2 ** 53 - 1)]);
    case 4:
      return random.pick(["", "Ann", "30", "toString", "\u0000", "𝄞"]);
    case 5:
      return all
        // Whether Infinity is a number is something that libraries differ in.
        ? random.pick([NaN, new Date(0), 2n ** 60n, new Map()])
        : {};
    case 6:
      return all ? random.bytes(random.int(0, 4)) : [];
    case 7:
      return listOf(random, 3, () => anyValue(random, depth - 1, all));
    default:
      return Object.fromEntries(
        listOf(random, 4, () => [
          random.pick(KEYS),
          anyValue(random, depth - 1, all),
        ]),
      );
  }
}

function listOf<T>(random: Random, max: number, make: () => T): T[] {
  return Array.from({ length: random.int(0, max) }, make);
}

/** A user, of whom a part may be something else. */
function nearlyUser(random: Random, all: boolean): unknown {
  const user: Record<string, unknown> = {
    name: random.pick(["Ann", "", "Bea"]),
    age: random.int(0, 90),
  };
  if (random.chance(0.4)) user[random.pick(["admin", "x"])] = 1;
  if (random.chance(0.3)) {
    user[random.pick(["name", "age"])] = anyValue(random, 1, all);
  }
  if (random.chance(0.1)) delete user[random.pick(["name", "age"])];
  return user;
}

/** An argument, more often valid than at random. */
function argument(random: Random, all: boolean): unknown {
  const users = () => nearlyUser(random, all);
  switch (random.int(0, 5)) {
    case 0:
      return anyValue(random, 3, all);
    case 1:
      return listOf(random, 4, users);
    case 2:
      return random.pick(["Ann", "", 7, null]);
    default:
      return users();
  }
}

/** Whether all arguments are valid as they were sent. */
function areValid(
  args: unknown,
  predicates: readonly [Predicate, Predicate][],
) {
  const list = args ?? [];
  return Array.isArray(list) && list.length <= predicates.length &&
    predicates.every(([sent], i) => sent(list[i]));
}

/** What the handler saw, which has to be valid. */
function checkSeen(
  seen: readonly unknown[],
  predicates: readonly [Predicate, Predicate][],
): void {
  assertEquals(seen.length, predicates.length);
  for (const [i, [, is]] of predicates.entries()) {
    assert(is(seen[i]), `it saw ${Deno.inspect(seen[i])}`);
  }
}

/** The outcome of a call: undefined, or the error of invalid arguments. */
async function outcome(
  call: Promise<unknown>,
): Promise<RemoteError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error;
    return error;
  }
}

function checkError(error: RemoteError | undefined, isList: boolean): void {
  assertEquals(error?.code, isList ? "invalid-argument" : "bad-arguments");
  if (!isList) return;
  const issues = error?.details as ValidationIssue[];
  assert(issues.length > 0);
  for (const { path, message } of issues) {
    assert(typeof message === "string" && Number.isInteger(path[0]));
  }
}

for (const [name, schemas] of Object.entries(SCHEMA_LIBRARIES)) {
  test(`contract: with ${name}, no handler sees an invalid value`, async (t) => {
    const counts = { valid: 0, invalid: 0 };
    const seen: unknown[][] = [];
    const handler = service(schemas, seen);
    const codec = cbor();
    const [json] = t.pair({}, { handler });
    const [binary] = t.pair({ codec }, { codec, handler });

    await forSeeds(SEEDS, async (random) => {
      const all = random.chance(0.5);
      const client = all ? binary : json;
      for (let i = 0; i < CALLS; i++) {
        seen.length = 0;
        const selector = random.pick([...Object.keys(METHODS), "stream"]);
        if (selector === "stream") {
          const values = listOf(random, 6, () => nearlyUser(random, all));
          const error = await outcome(
            client.call("stream", ReadableStream.from(values)),
          );
          const firstWrong = values.findIndex((value) => !isUser(value));
          const good = firstWrong < 0 ? values.length : firstWrong;
          assertEquals(seen.length, good);
          for (const args of seen) checkSeen(args, METHODS["user"]!);
          counts[error === undefined ? "valid" : "invalid"]++;
          if (firstWrong < 0) assertEquals(error, undefined);
          else checkError(error, true);
          continue;
        }
        const predicates = METHODS[selector]!;
        const args = random.chance(0.05)
          ? argument(random, all)
          : listOf(random, 1, () => null).concat(
            predicates.map(() => argument(random, all) as null),
          ).slice(random.chance(0.9) ? -predicates.length : 0);
        const error = await outcome(client.call(selector, args));
        if (areValid(args, predicates)) {
          counts.valid++;
          assertEquals(error, undefined);
          assertEquals(seen.length, 1);
          checkSeen(seen[0]!, predicates);
        } else {
          counts.invalid++;
          assertEquals(seen, []);
          checkError(error, Array.isArray(args ?? []));
        }
      }
    });
    if (!runsAllSeeds()) return;
    assertEquals(counts.valid + counts.invalid, 10_000);
    assert(
      counts.valid > 1_000 && counts.invalid > 1_000,
      Deno.inspect(counts),
    );
  });
}
