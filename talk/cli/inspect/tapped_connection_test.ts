import { assertEquals, assertRejects } from "@std/assert";
import { turn } from "../../../tests/support/turn.ts";
import { passBytes } from "./tapped_connection.ts";

/** A transport of whose methods some are used. */
function transport(methods: {
  read?: () => Promise<Uint8Array | null>;
  write?: (bytes: Uint8Array) => Promise<void>;
}) {
  const unused = () => Promise.reject(new Error("not used"));
  const closing = { closeWrite: unused, close: unused };
  return { read: unused, write: unused, ...closing, ...methods };
}

Deno.test("passBytes: nothing is read while a chunk is written, or looked at", async () => {
  const chunks = [1, 2, 3].map((byte) => new Uint8Array([byte]));
  let reads = 0;
  const from = transport({
    read: () => Promise.resolve(chunks[reads++] ?? null),
  });
  const written: number[] = [];
  let writing = Promise.withResolvers<void>();
  const to = transport({
    write(bytes) {
      written.push(...bytes);
      return writing.promise;
    },
  });
  const looking = Promise.withResolvers<void>();
  const looked: number[] = [];
  const passing = passBytes(from, to, async (chunk) => {
    looked.push(...chunk);
    if (looked.length === 1) await looking.promise;
  });
  await turn();
  assertEquals([reads, looked, written], [1, [1], []]);
  looking.resolve();
  await turn();
  assertEquals([reads, looked, written], [1, [1], [1]]);
  const first = writing;
  writing = Promise.withResolvers();
  first.resolve();
  await turn();
  assertEquals([reads, looked, written], [2, [1, 2], [1, 2]]);
  writing.resolve();
  await passing;
  assertEquals([reads, written], [4, [1, 2, 3]]);
});

Deno.test("passBytes: the errors of both transports come out of it", async () => {
  const look = () => Promise.resolve();
  const read = () => Promise.resolve(new Uint8Array(1));
  const broken = (text: string) => () => Promise.reject(new Error(text));
  for (
    const [from, to, text] of [
      [transport({ read: broken("reset") }), transport({}), "reset"],
      [transport({ read }), transport({ write: broken("pipe") }), "pipe"],
    ] as const
  ) {
    await assertRejects(() => passBytes(from, to, look), Error, text);
  }
});
