import { memoryPair } from "@qtalk/qtalk";
import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { errorText, MAX_ERROR_TEXT, RemoteError } from "./errors.ts";

Deno.test("errorText(): a long text is truncated, with an ellipsis", () => {
  const text = errorText(new Error("x".repeat(MAX_ERROR_TEXT + 1)));
  assertEquals(text.length, MAX_ERROR_TEXT);
  assertEquals(text.at(-1), "…");
  assertEquals(errorText("x".repeat(MAX_ERROR_TEXT)).length, MAX_ERROR_TEXT);
});

Deno.test("errorText(): the longest text of the largest characters fits into a header", async () => {
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

Deno.test("RemoteError.code: it is the code of the handler's error", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  server.handle("fail", () => {
    throw Object.assign(new Error("no such file"), { code: "ENOENT" });
  });
  server.handle("plain", (_call, respond) => respond.return(new Error("no")));
  const error = await assertRejects(() => client.call("fail"), RemoteError);
  assertEquals([error.text, error.code], ["no such file", "ENOENT"]);
  const plain = await assertRejects(() => client.call("plain"), RemoteError);
  assertEquals(plain.code, undefined);
});

Deno.test("RemoteError.code: a code that is not a short string is not sent", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  for (const [name, code] of [["long", "x".repeat(65)], ["number", 7]]) {
    server.handle(`${name}`, () => {
      throw Object.assign(new Error("text"), { code });
    });
    const failing = () => client.call(`${name}`);
    const error = await assertRejects(failing, RemoteError, "remote: text");
    assertEquals(error.code, undefined);
  }
});
