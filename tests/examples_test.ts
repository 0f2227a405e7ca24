import { assert, assertEquals, assertMatch } from "@std/assert";
import { within } from "./support/within.ts";

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
  /** A command that it starts, and not every machine has. */
  needed: string | undefined;
}

/** Reads a header; undefined if it names what else starts or tries this one. */
function headerOf(path: string): Header | undefined {
  const source = Deno.readTextFileSync(new URL(path, ROOT));
  const comment = /^(?:\/\/.*\n)+/.exec(source)?.[0] ?? "";
  const text = comment.replaceAll(/^\/\/ ?/gm, "");
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const parent = /Started by\s(\S+\.ts)/.exec(text)?.[1];
  if (parent !== undefined) {
    assert(headerOf(folder + parent), `${parent} says how ${path} is run`);
    return undefined;
  }
  const test = /[Tt]ried by\stests\/(\S+_test\.ts)/.exec(text)?.[1];
  if (test !== undefined) {
    const tried = Deno.readTextFileSync(new URL(`tests/${test}`, ROOT));
    assert(tried.includes(folder), `tests/${test} tries ${path}`);
    return undefined;
  }
  const command = /^ {2}deno (run .*)$/m.exec(text)?.[1];
  const printed = /^Prints(.*):\n\n((?: {2}.*\n)+)/m.exec(text);
  assert(command && printed, `${path} says its command and what it prints`);
  const args = command.split(" ");
  assertEquals(args.at(-1), path, `the command of ${path} runs ${path}`);
  const first = /Start (\S+\.ts)\sfirst/.exec(text)?.[1];
  return {
    args,
    output: printed[2]!.replaceAll(/^ {2}/gm, ""),
    stays: printed[1]!.includes("until it is stopped"),
    first: first && folder + first,
    needed: /Needs the\scommand\s([\w-]+)/.exec(text)?.[1],
  };
}

/** Whether a command can be started on this machine. */
function isThere(command: string): boolean {
  try {
    new Deno.Command(command, { args: ["--version"] }).outputSync();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
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
  const running = deno(args, stop.signal).output();
  const { code, stdout, stderr } = await within(
    running,
    `deno ${args.join(" ")}`,
    PATIENCE,
  ).catch((error) => {
    stop.abort();
    throw error;
  });
  const text = new TextDecoder().decode(stdout);
  return code === 0
    ? text
    : `${text}exit code ${code}: ${new TextDecoder().decode(stderr)}`;
}

/** An example that stays, once it has printed its lines. */
interface Running extends AsyncDisposable {
  /** The lines, or what it printed before it ended. */
  printed: string;
  /** What it has to say besides, when it has ended. */
  errors: Promise<string>;
}

async function start(args: string[], lineCount: number): Promise<Running> {
  const child = deno(args).spawn();
  const errors = new Response(child.stderr).text();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let printed = "";
  while (printed.split("\n").length <= lineCount) {
    const { done, value } = await lines.read();
    if (done) break;
    printed += value;
  }
  return {
    printed,
    errors,
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

/** A server that runs. */
interface Server extends Running {
  /** Its address, if that is not the one of its header. */
  addresses: string[];
}

/**
 * Starts a server as its header says, and checks what it prints. If its port
 * is taken on this machine, it gets a free one.
 */
async function startServer(path: string): Promise<Server> {
  const { args, output, stays } = headerOf(path)!;
  assert(stays, `${path} goes on until it is stopped`);
  const address = ADDRESS.exec(output)![0];
  const server = await start(args, linesIn(output));
  if (server.printed !== "" || !isTaken(address)) {
    assertEquals(server.printed, output);
    return { ...server, addresses: [] };
  }
  await server[Symbol.asyncDispose]();
  const moved = await start([...args, ANY_PORT], linesIn(output));
  const addresses = ADDRESS.exec(moved.printed) ?? [];
  assertEquals(moved.printed, output.replace(address, addresses[0] ?? ""));
  return { ...moved, addresses: [...addresses] };
}

const ADDRESS = /tcp:\/\/\S+/;
const ANY_PORT = "tcp://127.0.0.1:0";

function linesIn(text: string): number {
  return text.split("\n").length - 1;
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

/** What an example has to say that runs with these arguments of `deno`. */
async function complaintOf(path: string, args: string[]): Promise<string> {
  const { stays, first } = headerOf(path)!;
  if (!stays) return await outputOf(args);
  const isServer = first === undefined;
  await using server = await start(isServer ? [...args, ANY_PORT] : args, 1);
  if (server.printed === "") return await server.errors;
  // What is not there yet when it starts shows when it is called.
  const [address] = ADDRESS.exec(server.printed) ?? [];
  const caller = [...examples()].map(headerOf).find((h) => h?.first === path);
  return caller === undefined || address === undefined
    ? server.printed
    : await outputOf([...caller.args, address]);
}

const missing = new Set<string>();
for (const path of examples()) {
  const header = headerOf(path);
  if (header === undefined) continue;
  const { args, output, stays, first } = header;

  const needed = header.needed ?? (first && headerOf(first)?.needed);
  // This one interrupts a client; on Windows a signal can only end it.
  const interrupts = path === "examples/state/demo.ts" &&
    Deno.build.os === "windows";
  if (interrupts) missing.add(`${path}: there is no SIGINT to send`);
  const ignore = interrupts || needed !== undefined && !isThere(needed);
  if (ignore && needed) missing.add(`${path}: there is no ${needed} command`);

  Deno.test({
    name: `example ${path}: prints what its header says`,
    ignore,
    async fn() {
      if (stays && first === undefined) {
        await using _ = await startServer(path);
        return;
      }
      await using server = first === undefined
        ? undefined
        : await startServer(first);
      const allArgs = [...args, ...server?.addresses ?? []];
      if (!stays) return assertEquals(await outputOf(allArgs), output);
      await using example = await start(allArgs, linesIn(output));
      assertEquals(example.printed, output);
    },
  });

  for (const flag of args.filter((arg) => arg.startsWith("--allow"))) {
    Deno.test({
      name: `example ${path}: needs ${flag} and says so`,
      ignore,
      async fn() {
        const fewer = args.filter((arg) => arg !== flag);
        assertMatch(await complaintOf(path, fewer), /Requires \w+ access/);
      },
    });
  }
}
for (const text of missing) {
  Deno.stderr.writeSync(
    new TextEncoder().encode(`examples: not tried: ${text}\n`),
  );
}
