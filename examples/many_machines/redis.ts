// The same as demo.ts, with a Redis server for the store, which it starts.
//
//   deno run --allow-net=127.0.0.1 --allow-run=deno,redis-server examples/many_machines/redis.ts
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
// Needs the command redis-server, which Debian has in a package of that name.

const port = freePort();
await using redis = new Deno.Command("redis-server", {
  args: ["--port", `${port}`, "--bind", "127.0.0.1", "--save", ""],
  stdout: "piped",
}).spawn();
const output = redis.stdout.pipeThrough(new TextDecoderStream());
for await (const text of output.values({ preventCancel: true })) {
  if (/ready to accept connections/i.test(text)) break;
}

const demo = new URL("demo.ts", import.meta.url).href;
await new Deno.Command("deno", {
  args: [
    "run",
    "--allow-run=deno",
    "--allow-write",
    demo,
    `redis://127.0.0.1:${port}`,
  ],
}).spawn().status;

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
