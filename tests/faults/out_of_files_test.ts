/**
 * Processes that may have few files: more clients than files, and none for what
 * the process itself begins.
 *
 * @module
 */
import { dial } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import { test } from "../support/harness.ts";
import { withPath } from "../support/socket_path.ts";
import { turn, within } from "../support/within.ts";
import { upgradeRequest } from "../support/websocket_wire.ts";

/** Windows has no such limit. */
const ignore = Deno.build.os === "windows";
const FILES = 256;
const CLIENTS = 400;
/** Milliseconds: hundreds of clients take a while on a busy machine. */
const PATIENCE = 60_000;

/** A line of what the process says. */
type Line = Record<string, unknown>;

/** A process of few_files.ts with `files` files. */
class Process {
  readonly #child: Deno.ChildProcess;
  readonly lines: Line[] = [];
  readonly #waiting = new Set<() => void>();
  readonly done: Promise<void>;

  constructor(files: number, ...args: string[]) {
    const program = new URL("few_files.ts", import.meta.url).pathname;
    this.#child = new Deno.Command("sh", {
      args: [
        "-c",
        `ulimit -n ${files}; exec "$@"`,
        "sh",
        Deno.execPath(),
        "run",
        "-A",
        "--quiet",
        "--no-check",
        // One of V8's threads may crash Deno 2.9.6 as it exits, when all is done.
        "--v8-flags=--single-threaded",
        program,
        ...args,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.done = this.#read();
  }

  async #read(): Promise<void> {
    let text = "";
    const decoder = new TextDecoderStream();
    for await (const piece of this.#child.stdout.pipeThrough(decoder)) {
      const lines = (text + piece).split("\n");
      text = lines.pop()!;
      this.lines.push(...lines.map((line) => JSON.parse(line)));
      for (const check of this.#waiting) check();
    }
  }

  /** Waits for a line that has this key. */
  async line(key: string): Promise<Line> {
    const found = Promise.withResolvers<Line>();
    const check = () => {
      const line = this.lines.find((line) => key in line);
      if (line !== undefined) found.resolve(line);
    };
    this.#waiting.add(check);
    check();
    try {
      return await within(found.promise, `"${key}"`, PATIENCE);
    } finally {
      this.#waiting.delete(check);
    }
  }

  /** Ends the standard input; returns how the process ended. */
  async end(): Promise<Deno.CommandStatus> {
    await this.#child.stdin.close();
    await within(this.done, "the end of its output", PATIENCE);
    return await this.#child.status;
  }
}

for (const kind of ["tcp", "ws", "unix"]) {
  test(
    `listen(): with ${FILES} files, ${CLIENTS} clients over ${kind}: are all served in the end`,
    {
      ignore,
    },
    async () => {
      await withPath(async (path) => {
        const address = kind === "unix"
          ? `unix:${path}`
          : `${kind}://127.0.0.1:0`;
        const server = new Process(FILES, "listen", address);
        const { addr } = await server.line("addr");
        let served = 0;
        // Those who are served stay until there is no file left, and then go.
        const client = async () => {
          const peer = await dialPatiently(addr as string);
          assertEquals(await peer.call("ping"), "pong");
          served++;
          await server.line("error");
          await peer.close();
        };
        const all = Promise.all(Array.from({ length: CLIENTS }, client));
        await within(all, "all clients", PATIENCE);
        assertEquals(served, CLIENTS);
        // It serves on, and ends as any other.
        const late = await dial(addr as string);
        assertEquals(await late.call("ping"), "pong");
        await late.close();
        assertEquals((await server.end()).code, 0);
        const errors = server.lines.filter((line) => "error" in line);
        assertEquals(errors.length, 1, "one report for the whole spell");
        const { code, message } = errors[0]!["error"] as Line;
        assertEquals([code, message], [
          "out-of-resources",
          "Cannot accept connection: Too many open files (os error 24); it waits until some are free",
        ]);
        assertEquals(server.lines.at(-1), { closed: true });
      });
    },
  );
}

/** Dials again while a Unix socket has no room for more that wait. */
async function dialPatiently(address: string) {
  for (;;) {
    try {
      return await dial(address, { timeout: PATIENCE });
    } catch (error) {
      if (!/os error (11|35|61|111)\b/.test((error as Error).message)) {
        throw error;
      }
      await turn();
    }
  }
}

for (const kind of ["tcp", "ws"]) {
  test(
    `whenFull: without files and with "evict", silent connections over ${kind}: give way to clients that call`,
    {
      ignore,
    },
    async () => {
      const server = new Process(
        FILES,
        "listen",
        `${kind}://127.0.0.1:0`,
        "evict",
      );
      const addr = (await server.line("addr"))["addr"] as string;
      const used = await dial(addr);
      assertEquals(await used.call("ping"), "pong");
      const port = Number(new URL(addr.replace(/^\w+/, "http")).port);
      const silent = await Promise.all(
        Array.from(
          { length: FILES + 10 },
          () => Deno.connect({ hostname: "127.0.0.1", port }),
        ),
      );
      if (kind === "ws") {
        for (const conn of silent) {
          await conn.write(upgradeRequest(`127.0.0.1:${port}`));
        }
      }
      await server.line("error");
      for (let i = 0; i < 20; i++) {
        const client = await dial(addr, { timeout: PATIENCE });
        assertEquals(
          await within(client.call("ping"), "an answer", PATIENCE),
          "pong",
        );
        await client.close();
      }
      assertEquals(await used.call("ping"), "pong");
      await used.close();
      for (const conn of silent) conn.close();
      assertEquals((await server.end()).code, 0);
      const spells = server.lines.filter(({ error }) =>
        (error as Line | undefined)?.["code"] === "out-of-resources"
      );
      assertEquals(spells.length, 1);
    },
  );
}

test(
  "dial(): without files it fails with a TalkError that is not permanent, as do listen() and dialCommand()",
  {
    ignore,
  },
  async () => {
    await withPath(async (path) => {
      const program = new Process(64, "dial", path);
      assertEquals((await program.end()).code, 0);
      const attempts = program.lines.filter((line) => "name" in line);
      assertEquals(attempts.length, 7);
      for (const { name, code, permanent, message } of attempts) {
        const expected = name === "listen" ? "listen-failed" : "dial-failed";
        assertEquals([code, permanent], [expected, false], `${message}`);
        assert(`${message}`.endsWith(": Too many open files (os error 24)"));
      }
      assertEquals(program.lines.at(-1), { answer: "pong" });
    });
  },
);
