// Runs server.ts and client.ts as two processes that communicate over TCP, and
// shows the output of the client.
//
//   deno run --allow-run examples/hello/demo.ts
//
// Prints:
//
//   HELLO WORLD
//   remote: user error [/Error]

function deno(script: string, address: string): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-net=127.0.0.1",
      new URL(script, import.meta.url).href,
      address,
    ],
    stdout: "piped",
    stderr: "inherit",
  });
}

// Port 0 chooses a free port; the server prints it in its first line.
await using server = deno("server.ts", "tcp://127.0.0.1:0").spawn();
const address = await listeningOn(server.stdout);

const client = await deno("client.ts", address).output();
await Deno.stdout.write(client.stdout);

server.kill();
Deno.exitCode = client.code;

async function listeningOn(
  output: ReadableStream<Uint8Array>,
): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of output) {
    text += decoder.decode(chunk, { stream: true });
    const line = /^listening on (\S+)\n/.exec(text);
    if (line !== null) return line[1]!;
  }
  throw new Error("The server ended before it listened");
}
