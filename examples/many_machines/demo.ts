// Jobs on many machines: coordinators register in a store, and a client finds them
// there. The coordinators are killed one after the other, and no job is lost.
//
//   deno run --allow-run=deno --allow-write examples/many_machines/demo.ts
//
// Prints:
//
//   3 coordinators
//   25 jobs done, a coordinator is killed
//   50 jobs done, a coordinator is killed
//   75 jobs done, a coordinator is killed
//   100 jobs done
//   100 results, none is missing
//
// The store is a file of Deno KV. Takes another store as its argument, such as
// redis://127.0.0.1:6379 or the URL of a denokv server.

const directory = Deno.makeTempDirSync();
const [store = `${directory}/store`] = Deno.args;

const coordinators = [1, 2, 3].map(() => start("coordinator.ts"));
await Promise.all(coordinators.map(({ lines }) => lines.next()));
console.log(`${coordinators.length} coordinators`);

// At the end, whatever happens.
await using _ = { [Symbol.asyncDispose]: stop };
let kills = coordinators.length;
for await (const line of start("client.ts").lines) {
  if (kills === 0) {
    console.log(line);
    continue;
  }
  kills--;
  console.log(`${line}, a coordinator is killed`);
  coordinators.shift()!.child.kill("SIGKILL");
  // Not awaited: the client continues, and the next coordinator is killed during
  // its work, too.
  coordinators.push(start("coordinator.ts"));
}

async function stop() {
  for (const { child } of coordinators) await child[Symbol.asyncDispose]();
  Deno.removeSync(directory, { recursive: true });
}

/** Starts a script of this folder. */
function start(script: string) {
  const path = new URL(script, import.meta.url).href;
  const child = new Deno.Command("deno", {
    args: ["run", "-A", "--unstable-kv", path, store],
    stdout: "piped",
  }).spawn();
  return { child, lines: linesOf(child.stdout) };
}

async function* linesOf(output: ReadableStream<Uint8Array>) {
  let rest = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
