// The worker pattern: workers dial a coordinator, which calls them. One worker
// dies during a job, and another one does that job.
//
//   deno run --allow-run=deno examples/worker/demo.ts
//
// Prints:
//
//   A worker died, its job goes to another
//   20 jobs done: 78498 primes below 1000000

const coordinator = start("coordinator.ts", "tcp://127.0.0.1:0");
const { value: line } = await coordinator.next();
const address = line!.replace("listening on ", "");

// The first worker connects before the others, and dies during its first job.
const mortal = start("worker.ts", address, "0");
await mortal.next();
const workers = [mortal, ...[1, 2].map(() => start("worker.ts", address))];

for await (const line of coordinator) console.log(line);
// The workers end when the coordinator does.
await Promise.all(workers.map((worker) => Array.fromAsync(worker)));

/** Starts a script of this folder; returns the lines that it prints. */
function start(script: string, ...args: string[]) {
  const path = new URL(script, import.meta.url).href;
  const { stdout } = new Deno.Command("deno", {
    args: ["run", "--allow-net=127.0.0.1", path, ...args],
    stdout: "piped",
  }).spawn();
  return linesOf(stdout);
}

async function* linesOf(output: ReadableStream<Uint8Array>) {
  let rest = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
