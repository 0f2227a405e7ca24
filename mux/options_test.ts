import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  DEFAULT_SESSION_OPTIONS,
  PACKET_LIMITS,
  resolveOptions,
  type SessionOptions,
} from "./options.ts";

const NAMES = Object.keys(DEFAULT_SESSION_OPTIONS) as (keyof SessionOptions)[];

Deno.test("options: without any, each limit has its default, and each default is finite", () => {
  assertEquals(resolveOptions(), { ...DEFAULT_SESSION_OPTIONS });
  for (const name of NAMES) {
    assert(Number.isSafeInteger(DEFAULT_SESSION_OPTIONS[name]), name);
    assert(DEFAULT_SESSION_OPTIONS[name] > 0, name);
  }
});

Deno.test("options: undefined means the default, as if it were not there", () => {
  for (const name of NAMES) {
    assertEquals(
      // A caller without exactOptionalPropertyTypes can do this.
      resolveOptions({ [name]: undefined } as SessionOptions),
      { ...DEFAULT_SESSION_OPTIONS },
      name,
    );
  }
});

Deno.test("options: what is given replaces its default and no other", () => {
  for (const name of NAMES) {
    const value = DEFAULT_SESSION_OPTIONS[name] - 1;
    assertEquals(resolveOptions({ [name]: value }), {
      ...DEFAULT_SESSION_OPTIONS,
      [name]: value,
    });
  }
});

Deno.test("options: what is no number in its range is refused, each by its name", () => {
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

Deno.test("options: a packet size that qmux does not allow is refused", () => {
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

Deno.test("options: a window may be 2^32 - 1 and no more", () => {
  const most = 2 ** 32 - 1;
  assertEquals(
    resolveOptions({ initialWindowSize: most }).initialWindowSize,
    most,
  );
  for (const name of ["initialWindowSize", "maxWindowSize"] as const) {
    assertThrows(() => resolveOptions({ [name]: most + 1 }), RangeError);
  }
});

Deno.test("options: a window's maximum is no less than what it begins with", () => {
  assertEquals(
    resolveOptions({ initialWindowSize: 1_000, maxWindowSize: 10 })
      .maxWindowSize,
    1_000,
  );
});

Deno.test("options: what a session can be made to hold at most follows from the defaults", () => {
  const { maxChannels, initialWindowSize, windowBudgetSize } =
    DEFAULT_SESSION_OPTIONS;
  // The figure that options.ts and SPEC.md name.
  assertEquals(
    maxChannels * initialWindowSize + windowBudgetSize,
    194 * 1024 * 1024,
  );
});

Deno.test("options: the defaults cannot be changed for everybody", () => {
  assertThrows(
    () => (DEFAULT_SESSION_OPTIONS as { backlog: number }).backlog = 1,
    TypeError,
  );
});
