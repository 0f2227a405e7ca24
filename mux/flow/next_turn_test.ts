import { assertEquals, assertLess } from "@std/assert";
import { nextTurn } from "./next_turn.ts";

/** Whether a timer runs before as many turns are over. */
async function timerRuns(): Promise<boolean> {
  let ran = false;
  setTimeout(() => ran = true, 0);
  for (let i = 0; i < 10_000 && !ran; i++) await nextTurn();
  return ran;
}

Deno.test("nextTurn: lets timers run, which microtasks do not", async () => {
  assertEquals(await timerRuns(), true);
});

Deno.test("nextTurn: does without setImmediate(), as in browsers", async () => {
  const { setImmediate } = globalThis;
  Reflect.deleteProperty(globalThis, "setImmediate");
  try {
    assertEquals(await timerRuns(), true);
  } finally {
    Object.assign(globalThis, { setImmediate });
  }
});

Deno.test("nextTurn: lets sockets be served, however long others are busy", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  using writer = await Deno.connect({
    hostname: "127.0.0.1",
    port: listener.addr.port,
  });
  using reader = await accepting;
  for (let i = 0; i < 20; i++) {
    let turns = 0, hasRead = false;
    const reading = reader.read(new Uint8Array(1)).then(() => hasRead = true);
    await writer.write(new Uint8Array(1));
    for (; !hasRead && turns < 1_000; turns++) await nextTurn();
    await reading;
    assertLess(turns, 4);
  }
});
