/**
 * Thousands of connections that say nothing: what they cost, and which of them
 * give way when a listener is full.
 *
 * @module
 */
import { dial, handlerFrom, listen, memoryPool } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import { test } from "../support/harness.ts";
import { collectGarbage } from "../support/memory.ts";
import { turn, until, within } from "../support/within.ts";

/** Connections, of which each has two files in this process. */
const COUNT = Math.min(
  5_000,
  Math.floor((await filesAllowed() - 1_000) / 300) * 100,
);
/** Connections at once: the backlog of the socket is short. */
const BATCH = 100;
/** Bytes of the heap that both ends of a silent connection may take. */
const MAX_SIZE = 48 * 1024;

/** How many files this process may have; a guess where that is unknown. */
async function filesAllowed(): Promise<number> {
  if (Deno.build.os === "windows") return 3_000;
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", "ulimit -n"],
  }).output();
  const text = new TextDecoder().decode(stdout).trim();
  return text === "unlimited" ? Infinity : Math.max(Number(text), 1_300);
}

/** Connects `count` times without a word. */
async function crowd(port: number, count: number): Promise<Deno.Conn[]> {
  const conns: Deno.Conn[] = [];
  while (conns.length < count) {
    const batch = Math.min(BATCH, count - conns.length);
    conns.push(
      ...await Promise.all(
        Array.from(
          { length: batch },
          () => Deno.connect({ hostname: "127.0.0.1", port }),
        ),
      ),
    );
  }
  return conns;
}

/**
 * Which of the connections the other side has ended; closes them all.
 *
 * @param count how many it ends at least
 */
async function endedOf(
  conns: readonly Deno.Conn[],
  count: number,
): Promise<boolean[]> {
  const ended = conns.map((conn) => {
    const state = { ended: false };
    const end = () => {
      state.ended = true;
    };
    const reading = conn.read(new Uint8Array(1)).then(end, end);
    return { state, reading };
  });
  await until(() => ended.filter(({ state }) => state.ended).length >= count);
  // More would follow at once.
  for (let i = 0; i < 50; i++) await turn();
  const result = ended.map(({ state }) => state.ended);
  for (const conn of conns) conn.close();
  await Promise.all(ended.map(({ reading }) => reading));
  return result;
}

for (const whenFull of ["evict", "refuse"] as const) {
  test(`maxSessions: thousands of silent connections are served, and then "${whenFull}" decides which gives way`, async (t) => {
    const pool = memoryPool({ maxSessions: COUNT });
    const errors: unknown[] = [];
    let accepted = 0;
    const listener = await listen("tcp://127.0.0.1:0", {
      handler: handlerFrom({ ping: () => "pong" }),
      maxSessions: COUNT,
      memoryPool: pool,
      whenFull,
      onPeer: () => void accepted++,
      onError: (error) => errors.push(error),
    });
    t.defer(() => listener.close());
    const port = Number(new URL(listener.addr.replace("tcp", "http")).port);
    const client = t.watch(await dial(listener.addr));
    assertEquals(await client.call("ping"), "pong");
    collectGarbage();
    const before = Deno.memoryUsage();
    const first = await crowd(port, COUNT - 1);
    await until(() => pool.usage.sessions >= COUNT);
    assertEquals(errors, []);
    collectGarbage();
    const after = Deno.memoryUsage();
    const bytes = (after.heapUsed + after.external - before.heapUsed -
      before.external) / (COUNT - 1);
    assert(bytes < MAX_SIZE, `a silent connection takes ${bytes} bytes`);
    // What they hold of the pool is a little, too.
    assert(pool.usage.held < pool.size / 4, `${pool.usage.held} bytes`);

    const more = COUNT / 10;
    const second = await crowd(port, more);
    let refused = 0;
    if (whenFull === "evict") await until(() => accepted >= COUNT + more);
    else {
      const ends = second.map((conn) =>
        conn.read(new Uint8Array(1)).catch(() => null)
      );
      const read = await within(Promise.all(ends), "the ends of those refused");
      refused = read.filter((bytes) => bytes === null).length;
      for (const conn of second) conn.close();
    }
    assertEquals(await client.call("ping"), "pong");
    assert(pool.usage.sessions <= COUNT, `${pool.usage.sessions}`);
    const evicted = whenFull === "evict" ? more : 0;
    const firstEnded = await endedOf(first, evicted);
    const secondEnded = whenFull === "evict" ? await endedOf(second, 0) : [];
    const gone = (ended: boolean[]) => ended.filter(Boolean).length;
    assertEquals(
      [gone(firstEnded), gone(secondEnded), refused],
      [evicted, 0, more - evicted],
    );
    if (whenFull === "evict") {
      assertEquals(firstEnded.indexOf(false), more, "the oldest have gone");
    }
    assertEquals(errors.length, 1);
    assertEquals(await client.call("ping"), "pong");
  });
}
