import { assertEquals } from "@std/assert";
import { certificateOf, problemOfTime } from "./certificate.ts";

Deno.test("problemOfTime(): times that the runtime does not understand are no problem", () => {
  const certificate = certificateOf({
    fingerprint256: "00".repeat(32),
    valid_from: "Bad time value",
    valid_to: "Bad time value",
  })!;
  assertEquals(problemOfTime(certificate), undefined);
});
