/**
 * Compares two checkouts of this package within one process, in slices of some
 * milliseconds that alternate: what else the machine does then disturbs both
 * alike, and a difference of two per cent shows on a busy machine.
 *
 * ```sh
 * deno run -A tests/bench/alternate.ts BEFORE AFTER [measure,…] [rounds]
 * ```
 *
 * Each process has both ends of the connection, so the figures are the sum of
 * what both ends cost. Calls of one checkout share no code with the other: the
 * engine compiles and optimises the two apart.
 *
 * @module
 */
import process from "node:process";
import { pathToFileURL } from "node:url";

/** What is used of a checkout; it has been so since 0.1.0. */
type Library = Pick<
  typeof import("../../mod.ts"),
  "dial" | "dialSession" | "listen" | "listenSession"
>;

/** The slices of one checkout: each runs once and resolves. */
type Slices = Record<string, () => Promise<void>>;

const PIECE = new Uint8Array(64 * 1024);

async function slicesOf(checkout: string): Promise<Slices> {
  const url = pathToFileURL(`${checkout}/mod.ts`);
  const library: Library = await import(url.href);
  const listener = await library.listen("tcp://127.0.0.1:0", {
    handler: async (call, respond) => respond.return(await call.receive()),
  });
  const peer = await library.dial(listener.addr);
  const sessions = await library.listenSession("tcp://127.0.0.1:0");
  void (async () => {
    for await (const session of sessions) {
      session.accept((channel) => {
        void channel.readable.pipeTo(channel.writable);
      });
    }
  })();
  const session = await library.dialSession(sessions.addr);

  async function calls(count: number, inFlight: number): Promise<void> {
    let left = count;
    await Promise.all(Array.from({ length: inFlight }, async () => {
      while (left-- > 0) await peer.call("echo", 42);
    }));
  }

  async function payload(size: number, count: number): Promise<void> {
    const text = "x".repeat(size);
    for (let i = 0; i < count; i++) await peer.call("echo", text);
  }

  async function echo(pieces: number): Promise<void> {
    const channel = await session.open();
    const reading = channel.readable.pipeTo(new WritableStream());
    const writer = channel.writable.getWriter();
    for (let i = 0; i < pieces; i++) await writer.write(PIECE);
    await writer.close();
    await reading;
  }

  return {
    "unary-1": () => calls(800, 1),
    "unary-64": () => calls(4_000, 64),
    "unary-1000": () => calls(4_000, 1_000),
    "payload-64k": () => payload(64 * 1024, 20),
    "payload-512k": () => payload(512 * 1024, 4),
    echo: () => echo(200),
  };
}

function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function timed(slice: () => Promise<void>) {
  const wall = performance.now();
  const cpu = cpuTime();
  await slice();
  return { wall: performance.now() - wall, cpu: cpuTime() - cpu };
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

const [before, after, measures, rounds = "100"] = Deno.args;
if (before === undefined || after === undefined) {
  console.error("Usage: alternate.ts BEFORE AFTER [measure,…] [rounds]");
  Deno.exit(2);
}
const first = await slicesOf(before);
const second = await slicesOf(after);
for (const name of measures?.split(",") ?? Object.keys(first)) {
  const [a, b] = [first[name]!, second[name]!];
  // The engine optimises what has run often.
  for (let i = 0; i < 10; i++) for (const slice of [a, b]) await slice();
  const wall: number[] = [], cpu: number[] = [];
  for (let i = 0; i < Number(rounds); i++) {
    // The one that goes first changes, too.
    const x = i % 2 === 0 ? await timed(a) : undefined;
    const y = await timed(b);
    const z = x ?? await timed(a);
    wall.push(z.wall / y.wall);
    cpu.push(z.cpu / y.cpu);
  }
  console.log(
    `${name.padEnd(12)} speed of the second over the first: ` +
      `${median(wall).toFixed(3)}, by CPU time ${median(cpu).toFixed(3)}`,
  );
}
Deno.exit(0);
