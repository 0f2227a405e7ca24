import { assert, assertEquals } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import {
  decodeAnswerNew,
  decodeAnswerResume,
  decodeHelloNew,
  decodeHelloResume,
  encodeAnswerNew,
  encodeAnswerResume,
  encodeFinish,
  encodeHelloNew,
  encodeHelloResume,
  encodeRefused,
  hasMagic,
  MAGIC,
  receivedOf,
} from "./messages.ts";
import { random } from "./proofs.ts";

const [nonce, id, publicKey] = [random(32), random(16), random(65)];
const MESSAGES = {
  HELLO_NEW: encodeHelloNew({ limit: 7, nonce, publicKey }),
  HELLO_RESUME: encodeHelloResume({ attempt: 9, nonce, id }),
  ANSWER_NEW: encodeAnswerNew({ limit: 8, nonce, id, publicKey }),
  ANSWER_RESUME: encodeAnswerResume({ received: 2 ** 40 + 5, nonce }),
  REFUSED: encodeRefused(),
  FINISH: encodeFinish(2 ** 52 + 1),
};

test("messages: every message has the size and the fields of the specification", () => {
  const spec = Deno.readTextFileSync(new URL("../SPEC.md", import.meta.url));
  for (const [name, bytes] of Object.entries(MESSAGES)) {
    const row = spec.split("\n").find((line) => line.startsWith(`| ${name} `));
    const [, , , fields, size] = row!.split("|").map((cell) => cell.trim());
    assertEquals(bytes.length, Number(size), name);
    if (name === "FINISH") continue;
    assert(hasMagic(bytes), name);
    assertEquals(bytes[8], Number(/^type (\d)/.exec(fields!)![1]), name);
  }
});

test("messages: what is encoded is decoded", () => {
  const { HELLO_NEW, HELLO_RESUME, ANSWER_NEW, ANSWER_RESUME, FINISH } =
    MESSAGES;
  assertEquals(decodeHelloNew(HELLO_NEW), { limit: 7, nonce, publicKey });
  assertEquals(decodeHelloResume(HELLO_RESUME), { attempt: 9, nonce, id });
  assertEquals(decodeAnswerNew(ANSWER_NEW), { limit: 8, nonce, id, publicKey });
  assertEquals(decodeAnswerResume(ANSWER_RESUME), {
    received: 2 ** 40 + 5,
    nonce,
  });
  assertEquals(receivedOf(FINISH), 2 ** 52 + 1);
});

test("messages: the first byte is that of no frame, and of no text", () => {
  assert(MAGIC[0]! < 100 || MAGIC[0]! > 106);
  const text = new TextDecoder().decode(MAGIC);
  assert(text.startsWith("\ufffdqtalkR"), text);
});
