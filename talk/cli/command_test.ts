import { assertEquals, assertThrows } from "@std/assert";
import { parse, positive } from "./command.ts";
import { UsageError } from "./exit_code.ts";

Deno.test("parse: options may be anywhere, and a negative number is not an option", () => {
  const specs = {
    name: { type: "string", about: "" },
    flag: { type: "boolean", short: "f", about: "" },
  } as const;
  assertEquals(parse(["-1", "--name", "-2", "a", "-f", "-.5"], specs), {
    words: ["-1", "a", "-.5"],
    values: { name: "-2", flag: true },
  });
  assertEquals(parse(["--name=x", "--", "--flag", "-3"], specs), {
    words: ["--flag", "-3"],
    values: { name: "x" },
  });
  for (const args of [["--nam"], ["-x"], ["--name"], ["--flag=1"]]) {
    assertThrows(() => parse(args, specs), UsageError);
  }
});

Deno.test("positive: only a finite number above 0 is accepted", () => {
  assertEquals(positive("timeout", "0.5"), 0.5);
  assertEquals(positive("timeout", undefined), undefined);
  for (const text of ["0", "-1", "", "x", "Infinity"]) {
    assertThrows(() => positive("timeout", text), UsageError, "--timeout");
  }
});

Deno.test("parse: an option that may be repeated has all of its values", () => {
  const specs = { pin: { type: "string", multiple: true, about: "" } } as const;
  assertEquals(parse(["--pin", "a", "--pin=-1"], specs), {
    words: [],
    values: { pin: ["a", "-1"] },
  });
});
