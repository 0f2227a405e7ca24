import { memoryPair } from "@qtalk/qtalk";
import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { errorText, MAX_ERROR_TEXT, RemoteError } from "./errors.ts";

Deno.test("error text: a long one is cut, and says so", () => {
  const text = errorText(new Error("x".repeat(MAX_ERROR_TEXT + 1)));
  assertEquals(text.length, MAX_ERROR_TEXT);
  assertEquals(text.at(-1), "…");
  assertEquals(errorText("x".repeat(MAX_ERROR_TEXT)).length, MAX_ERROR_TEXT);
});

Deno.test("error text: the longest, in the characters that take most, still fits a header", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  const text = "\u0001".repeat(MAX_ERROR_TEXT);
  server.handle("fail", () => {
    throw new Error(text);
  });
  const error = await assertRejects(() => client.call("fail"), RemoteError);
  assertInstanceOf(error, RemoteError);
  assertEquals(error.text, text);
});
