import { assertEquals } from "@std/assert";
import { isSecret } from "./secret.ts";

Deno.test("isSecret(): only the same text is the secret", async () => {
  assertEquals(await isSecret("token", "token"), true);
  assertEquals(await isSecret("tökén 😀", "tökén 😀"), true);
  for (
    const given of ["", "Token", "toke", "tokens", " token", null, undefined, 5]
  ) assertEquals(await isSecret(given, "token"), false);
  assertEquals(await isSecret(["token"], "token"), false);
});
