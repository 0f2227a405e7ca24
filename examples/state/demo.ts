// Runs server.ts and three clients, and shows the output of the first client while
// the others join and leave: one is killed, and the other one leaves.
//
//   deno run --allow-run=deno examples/state/demo.ts
//
// Prints:
//
//   here: Ann
//   Control-C leaves
//   here: Ann, Bob
//   here: Ann, Bob, Cid
//   Bob is killed
//   here: Ann, Cid
//   Cid leaves
//   here: Ann

await using server = start("server.ts", "tcp://127.0.0.1:0");
const address = (await next(server)).replace("listening on ", "");

await using ann = start("client.ts", address, "Ann");
await show(2);
await using bob = start("client.ts", address, "Bob");
await show(1);
await using cid = start("client.ts", address, "Cid");
await show(1);

// Cid prints the second line once he has joined and all users have the new
// list.
await next(cid);
await next(cid);
console.log("Bob is killed");
bob.kill("SIGKILL");
await show(1);
console.log("Cid leaves");
cid.kill("SIGINT");
await show(1);

async function show(lines: number) {
  for (let i = 0; i < lines; i++) console.log(await next(ann));
}

async function next({ lines }: ReturnType<typeof start>): Promise<string> {
  const { done, value } = await lines.next();
  if (done) throw new Error("A script ended too early");
  return value;
}

/** Starts a script of this folder. */
function start(script: string, ...args: string[]) {
  const path = new URL(script, import.meta.url).href;
  const child = new Deno.Command("deno", {
    args: ["run", "--allow-net=127.0.0.1", path, ...args],
    stdout: "piped",
  }).spawn();
  return Object.assign(child, { lines: linesOf(child.stdout) });
}

async function* linesOf(output: ReadableStream<Uint8Array>) {
  let rest = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
