/**
 * The application of examples/deploy as a process, and those that visit it.
 *
 * @module
 */
import { dial, handlerFrom, type Peer } from "@qtalk/qtalk";
import { within } from "./within.ts";

/** The project's folder. */
export const ROOT = new URL("../../", import.meta.url);
/** The application. */
export const MAIN = "examples/deploy/main.ts";
/** Makes it serve on a free port, and on this machine only. */
export const HERE = ["--port=0", "--host=127.0.0.1"];

/** A program of the examples, and what it has printed. */
export class Program implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly errors: Promise<string>;
  readonly child: Deno.ChildProcess;
  readonly #output: Promise<void>;
  #printed = Promise.withResolvers<void>();

  constructor(args: string[], env: Record<string, string> = {}) {
    this.child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...args],
      cwd: ROOT,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1", ...env },
    }).spawn();
    this.errors = new Response(this.child.stderr).text();
    this.#output = this.#read();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.child.stdout) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split(
        "\n",
      );
      rest = parts.pop()!;
      this.lines.push(...parts);
      this.#printed.resolve();
      this.#printed = Promise.withResolvers();
    }
    this.#printed.promise.catch(() => {});
    this.#printed.reject(new Error(await this.errors));
  }

  /** Waits for the `n`th line that begins so; gives what follows there. */
  line(start: string, n = 0): Promise<string> {
    const found = async () => {
      for (;;) {
        const line = this.lines.filter((line) => line.startsWith(start))[n];
        if (line !== undefined) return line.slice(start.length);
        await this.#printed.promise;
      }
    };
    return within(found(), `"${start}" of a program`);
  }

  /** Waits until it has ended by itself. */
  async ended(): Promise<Deno.CommandStatus> {
    return await within(this.child.status, "the program's end");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.child.stdin.close().catch(() => {});
    await Promise.all([this.child.status, this.errors, this.#output]);
  }
}

/** One that visits the application, and what it was told. */
export class Visitor implements AsyncDisposable {
  names: readonly string[] = [];
  /** Waits in `tick` until it may go on. */
  readonly ticked = Promise.withResolvers<void>();
  readonly goOn = Promise.withResolvers<void>();
  readonly #peer: Promise<Peer>;
  #told = Promise.withResolvers<void>();

  constructor(url: string) {
    this.#peer = dial(url.replace("http:", "ws:") + "rpc", {
      handler: handlerFrom({
        state: (names: readonly string[]) => {
          this.names = names;
          this.#told.resolve();
          this.#told = Promise.withResolvers();
        },
        tick: async () => {
          this.ticked.resolve();
          await this.goOn.promise;
        },
      }),
    });
  }

  async call(selector: string, ...args: unknown[]): Promise<unknown> {
    return await within((await this.#peer).call(selector, args), selector);
  }

  /** Waits until it was told of just these. */
  async sees(...names: string[]): Promise<void> {
    const told = async () => {
      while (this.names.join() !== names.join()) await this.#told.promise;
    };
    await within(told(), `${names.join() || "nobody"} in the state`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.goOn.resolve();
    await (await this.#peer).close();
  }
}
