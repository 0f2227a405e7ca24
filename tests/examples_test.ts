import { assert, assertEquals, assertMatch } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** What the header comment of an example says. */
interface Header {
  /** The arguments of `deno`. */
  args: string[];
  /** What it prints. */
  output: string;
  /** Whether it goes on until it is stopped. */
  stays: boolean;
  /** The example to start before it. */
  first: string | undefined;
}

/** Reads a header; undefined if it names the example that starts this one. */
function headerOf(path: string): Header | undefined {
  const source = Deno.readTextFileSync(new URL(path, ROOT));
  const comment = /^(?:\/\/.*\n)+/.exec(source)?.[0] ?? "";
  const text = comment.replaceAll(/^\/\/ ?/gm, "");
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const parent = /Started by (\S+\.ts)/.exec(text)?.[1];
  if (parent !== undefined) {
    assert(headerOf(folder + parent), `${parent} says how ${path} is run`);
    return undefined;
  }
  const command = /^ {2}deno (run .*)$/m.exec(text)?.[1];
  const printed = /^Prints(.*):\n\n((?: {2}.*\n)+)/m.exec(text);
  assert(command && printed, `${path} says its command and what it prints`);
  const args = command.split(" ");
  assertEquals(args.at(-1), path, `the command of ${path} runs ${path}`);
  const first = /Start (\S+\.ts) first/.exec(text)?.[1];
  return {
    args,
    output: printed[2]!.replaceAll(/^ {2}/gm, ""),
    stays: printed[1]!.includes("until it is stopped"),
    first: first && folder + first,
  };
}

function* examples(folder = "examples"): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder, ROOT))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* examples(path);
    else if (path.endsWith(".ts")) yield path;
  }
}

/** Milliseconds after which an example that should end is stopped. */
const PATIENCE = 60_000;

/** Runs this Deno, as `deno` of the header and of the example itself. */
function deno(args: string[], signal?: AbortSignal): Deno.Command {
  const folder = Deno.execPath().replace(/[^/\\]+$/, "");
  const separator = Deno.build.os === "windows" ? ";" : ":";
  return new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(signal && { signal }),
    env: {
      PATH: `${folder}${separator}${Deno.env.get("PATH")}`,
      NO_COLOR: "1",
      // Nobody listens there: an example runs where JSR cannot be reached.
      JSR_URL: "http://127.0.0.1:9/",
    },
  });
}

/** Runs an example to its end; returns what it printed. */
async function outputOf(args: string[]): Promise<string> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE);
  const { code, stdout, stderr } = await deno(args, stop.signal).output();
  clearTimeout(timer);
  const text = new TextDecoder().decode(stdout);
  return code === 0
    ? text
    : `${text}exit code ${code}: ${new TextDecoder().decode(stderr)}`;
}

/** An example that stays, once it has printed a line. */
interface Running extends AsyncDisposable {
  /** The line, or nothing if it ended without one. */
  line: string;
}

async function start(args: string[]): Promise<Running> {
  const child = deno(args).spawn();
  const errors = new Response(child.stderr).text();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let line = "";
  while (!line.includes("\n")) {
    const { done, value } = await lines.read();
    if (done) break;
    line += value;
  }
  return {
    line,
    async [Symbol.asyncDispose]() {
      try {
        child.kill();
      } catch {
        // It has ended already.
      }
      await Promise.all([child.status, errors, lines.cancel()]);
    },
  };
}

/**
 * Starts a server as its header says, and checks what it prints. If its port
 * is taken on this machine, it gets a free one.
 */
async function startServer(
  path: string,
): Promise<{ server: Running; addresses: string[] }> {
  const { args, output, stays } = headerOf(path)!;
  assert(stays, `${path} goes on until it is stopped`);
  const address = /tcp:\/\/\S+/.exec(output)![0];
  const server = await start(args);
  if (server.line !== "" || !isTaken(address)) {
    assertEquals(server.line, output);
    return { server, addresses: [] };
  }
  await server[Symbol.asyncDispose]();
  const moved = await start([...args, "tcp://127.0.0.1:0"]);
  const addresses = /tcp:\/\/\S+/.exec(moved.line) ?? [];
  assertEquals(moved.line, output.replace(address, addresses[0] ?? ""));
  return { server: moved, addresses: [...addresses] };
}

function isTaken(address: string): boolean {
  const { hostname, port } = new URL(address.replace("tcp:", "http:"));
  try {
    Deno.listen({ hostname, port: Number(port) }).close();
    return false;
  } catch {
    return true;
  }
}

for (const path of examples()) {
  const header = headerOf(path);
  if (header === undefined) continue;
  const { args, output, stays, first } = header;

  Deno.test(`${path} prints what its header says`, async () => {
    if (stays) {
      const { server } = await startServer(path);
      return await server[Symbol.asyncDispose]();
    }
    if (first === undefined) return assertEquals(await outputOf(args), output);
    const { server, addresses } = await startServer(first);
    await using _ = server;
    assertEquals(await outputOf([...args, ...addresses]), output);
  });

  for (const flag of args.filter((arg) => arg.startsWith("--allow"))) {
    Deno.test(`${path} needs ${flag}`, async () => {
      const fewer = args.filter((arg) => arg !== flag);
      assertMatch(await outputOf(fewer), /Requires \w+ access/);
    });
  }
}
