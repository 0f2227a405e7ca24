// A TCP proxy that other programs can watch: runs proxy.ts in front of an echo
// server and watcher.ts, which closes a connection that gives a password away.
//
//   deno run --allow-run=deno --allow-net=127.0.0.1 examples/tee_proxy/demo.ts
//
// Prints:
//
//   watcher: watching
//   client: hello
//   watcher: 127.0.0.1 is here
//   client: my password is 1234
//   watcher: 127.0.0.1 has to go
//   client: the connection is closed

const hostname = "127.0.0.1";

const server = Deno.listen({ hostname, port: 0 });
(async () => {
  for await (const conn of server) {
    conn.readable.pipeTo(conn.writable).catch(() => {});
  }
})();

await using proxy = start("proxy.ts", `${hostname}:${server.addr.port}`);
const [port, address] = (await next(proxy)).match(/\d+(?=,)|\S+$/g)!;
await using watcher = start("watcher.ts", address!);
console.log("watcher:", await next(watcher));

const client = await Deno.connect({ hostname, port: Number(port) });
for (const text of ["hello", "my password is 1234"]) {
  console.log("client:", text);
  await client.write(new TextEncoder().encode(text));
  console.log("watcher:", await next(watcher));
}
try {
  while (await client.read(new Uint8Array(1024)) !== null);
} catch {
  // A connection that is closed with unread bytes is reset.
}
console.log("client: the connection is closed");

client.close();
server.close();

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
