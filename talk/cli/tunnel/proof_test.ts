import { assertEquals, assertNotEquals } from "@std/assert";
import { isNonce, isProof, nonce, prove, type Statement } from "./proof.ts";

const STATEMENT: Statement = {
  by: "publisher",
  publisherNonce: "1".repeat(64),
  serverNonce: "2".repeat(64),
  content: ["name", 8080, true],
};

Deno.test("isProof(): the same token and the same statement are proved, and no others", async () => {
  const proof = await prove("tökén 😀", STATEMENT);
  assertEquals(await isProof(proof, "tökén 😀", STATEMENT), true);
  for (const token of ["tökén", "Tökén 😀", "tökén 😀 ", "x"]) {
    assertEquals(await isProof(proof, token, STATEMENT), false, token);
  }
  for (
    const other of [
      { by: "server" as const },
      { publisherNonce: STATEMENT.serverNonce },
      { serverNonce: STATEMENT.publisherNonce },
      { content: ["name", 8080, false] },
      { content: ["name", "8080", true] },
      { content: ["name,8080", true] },
    ]
  ) {
    const statement = { ...STATEMENT, ...other };
    assertEquals(
      await isProof(proof, "tökén 😀", statement),
      false,
      JSON.stringify(other),
    );
  }
});

Deno.test("isProof(): what is no proof at all is none", async () => {
  const proof = await prove("token", STATEMENT);
  for (
    const value of [
      undefined,
      null,
      5,
      [proof],
      "",
      "token",
      proof.slice(2),
      `${proof}00`,
      proof.toUpperCase(),
      `${proof.slice(0, -1)}${proof.endsWith("0") ? "1" : "0"}`,
    ]
  ) assertEquals(await isProof(value, "token", STATEMENT), false);
});

Deno.test("prove(): it is HMAC-SHA256 over JSON, so that other programs can make it", async () => {
  const key = await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode("token"),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  const bytes = await crypto.subtle.sign(
    "HMAC",
    key,
    new TextEncoder().encode(
      `["qtalk tunnel","publisher","${"1".repeat(64)}","${
        "2".repeat(64)
      }",["name",8080,true]]`,
    ),
  );
  assertEquals(
    await prove("token", STATEMENT),
    new Uint8Array(bytes).toHex(),
  );
});

Deno.test("nonce(): each is another, of 256 bits", () => {
  assertEquals([isNonce(nonce()), isNonce("x"), isNonce(1)], [
    true,
    false,
    false,
  ]);
  assertNotEquals(nonce(), nonce());
});
