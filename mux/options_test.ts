import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  DEFAULTS,
  PACKET_LIMITS,
  resolveOptions,
  type SessionOptions,
} from "./options.ts";

const NAMES = Object.keys(DEFAULTS) as (keyof SessionOptions)[];

Deno.test("options: without any, each limit has its default, and each default is finite", () => {
  assertEquals(resolveOptions(), { ...DEFAULTS });
  for (const name of NAMES) {
    assert(Number.isSafeInteger(DEFAULTS[name]), name);
    assert(DEFAULTS[name] > 0, name);
  }
});

Deno.test("options: undefined means the default, as if it were not there", () => {
  for (const name of NAMES) {
    assertEquals(
      // A caller without exactOptionalPropertyTypes can do this.
      resolveOptions({ [name]: undefined } as SessionOptions),
      { ...DEFAULTS },
      name,
    );
  }
});

Deno.test("options: what is given replaces its default and no other", () => {
  for (const name of NAMES) {
    const value = DEFAULTS[name] - 1;
    assertEquals(resolveOptions({ [name]: value }), {
      ...DEFAULTS,
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
  for (const maxPacket of [min, max]) {
    assertEquals(resolveOptions({ maxPacket }).maxPacket, maxPacket);
  }
  for (const maxPacket of [min - 1, max + 1]) {
    assertThrows(() => resolveOptions({ maxPacket }), RangeError);
  }
});

Deno.test("options: a window may be 2^32 - 1 and no more", () => {
  const most = 2 ** 32 - 1;
  assertEquals(resolveOptions({ initialWindow: most }).initialWindow, most);
  for (const name of ["initialWindow", "maxWindow"] as const) {
    assertThrows(() => resolveOptions({ [name]: most + 1 }), RangeError);
  }
});

Deno.test("options: a window's maximum is no less than what it begins with", () => {
  assertEquals(
    resolveOptions({ initialWindow: 1_000, maxWindow: 10 }).maxWindow,
    1_000,
  );
});

Deno.test("options: what a session can be made to hold at most follows from the defaults", () => {
  const { maxChannels, initialWindow, windowBudget } = DEFAULTS;
  // The figure that options.ts and SPEC.md name.
  assertEquals(maxChannels * initialWindow + windowBudget, 194 * 1024 * 1024);
});

Deno.test("options: the defaults cannot be changed for everybody", () => {
  assertThrows(
    () => (DEFAULTS as { backlog: number }).backlog = 1,
    TypeError,
  );
});
