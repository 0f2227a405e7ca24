// A reverse tunnel: agent.ts dials server.ts, which publishes the web server of
// agent.ts. This script visits the public address.
//
//   deno run --allow-run=deno --allow-net=127.0.0.1 examples/tunnel/demo.ts
//
// Prints:
//
//   /index of a hidden site
//   /about of a hidden site

await using server = start("server.ts", "tcp://127.0.0.1:0");
const address = await lastWordOf(server);
await using agent = start("agent.ts", address);
const site = await lastWordOf(agent);

for (const page of ["index", "about"]) {
  const response = await fetch(site + page);
  console.log((await response.text()).trim());
}

/** Starts a script of this folder. */
function start(script: string, ...args: string[]): Deno.ChildProcess {
  const path = new URL(script, import.meta.url).href;
  return new Deno.Command("deno", {
    args: ["run", "--allow-net=127.0.0.1", path, ...args],
    stdout: "piped",
  }).spawn();
}

/** The last word of the first line, which is an address. */
async function lastWordOf(child: Deno.ChildProcess): Promise<string> {
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    return text.trim().split(" ").pop()!;
  }
  throw new Error("A script ended too early");
}
