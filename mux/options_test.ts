import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  DEFAULT_SESSION_OPTIONS,
  PACKET_LIMITS,
  resolveOptions,
  type SessionLimits,
} from "./options.ts";

const NAMES = Object.keys(DEFAULT_SESSION_OPTIONS) as (keyof SessionLimits)[];

Deno.test("resolveOptions: every option has a finite default", () => {
  assertEquals(resolveOptions(), { ...DEFAULT_SESSION_OPTIONS });
  for (const name of NAMES) {
    assert(Number.isSafeInteger(DEFAULT_SESSION_OPTIONS[name]), name);
    assert(DEFAULT_SESSION_OPTIONS[name] > 0, name);
  }
});

Deno.test("resolveOptions: undefined means the default", () => {
  for (const name of NAMES) {
    assertEquals(
      resolveOptions({ [name]: undefined }),
      { ...DEFAULT_SESSION_OPTIONS },
      name,
    );
  }
});

Deno.test("resolveOptions: a value replaces its own default only", () => {
  for (const name of NAMES) {
    const value = DEFAULT_SESSION_OPTIONS[name] - 1;
    assertEquals(resolveOptions({ [name]: value }), {
      ...DEFAULT_SESSION_OPTIONS,
      [name]: value,
    });
  }
});

Deno.test("resolveOptions: the same limits as before are the same object, others are not changed", () => {
  const first = resolveOptions({ maxChannels: 5 });
  assertStrictEquals(resolveOptions({ maxChannels: 5 }), first);
  assertEquals(resolveOptions({ maxChannels: 6 }).maxChannels, 6);
  assertEquals(first.maxChannels, 5);
});

Deno.test("resolveOptions: a value out of range is a RangeError that names the option", () => {
  for (const name of NAMES) {
    for (const value of [-1, 0.5, NaN, Infinity, 2 ** 60, "64" as never]) {
      assertThrows(
        () => resolveOptions({ [name]: value }),
        RangeError,
        `Cannot use option "${name}": ${value} is not an integer from `,
      );
    }
  }
});

Deno.test("resolveOptions: maxPacketSize is limited to what qmux allows", () => {
  const { min, max } = PACKET_LIMITS;
  assertEquals([min, max], [9, 2 ** 31]);
  for (const maxPacketSize of [min, max]) {
    assertEquals(
      resolveOptions({ maxPacketSize }).maxPacketSize,
      maxPacketSize,
    );
  }
  for (const maxPacketSize of [min - 1, max + 1]) {
    assertThrows(() => resolveOptions({ maxPacketSize }), RangeError);
  }
});

Deno.test("resolveOptions: a window may be at most 2^32 - 1", () => {
  const most = 2 ** 32 - 1;
  assertEquals(
    resolveOptions({ initialWindowSize: most }).initialWindowSize,
    most,
  );
  for (const name of ["initialWindowSize", "maxWindowSize"] as const) {
    assertThrows(() => resolveOptions({ [name]: most + 1 }), RangeError);
  }
});

Deno.test("resolveOptions: maxWindowSize is at least initialWindowSize", () => {
  assertEquals(
    resolveOptions({ initialWindowSize: 1_000, maxWindowSize: 10 })
      .maxWindowSize,
    1_000,
  );
});

Deno.test("DEFAULT_SESSION_OPTIONS: are frozen", () => {
  assertThrows(
    () => (DEFAULT_SESSION_OPTIONS as { backlog: number }).backlog = 1,
    TypeError,
  );
});
