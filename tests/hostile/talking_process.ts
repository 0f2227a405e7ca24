/**
 * A program of the harness that runs as a separate process. The two exchange
 * lines of JSON: questions with an `id`, answers with the same `id`, and events
 * without one.
 *
 * @module
 */

/** A line that a program writes on its own. */
export type Event = Record<string, unknown>;

/** How a program is started. */
export interface StartOptions {
  script: string;
  args?: string[];
  /** The `deno.json` that resolves imports. */
  config: string;
  /** Flags for V8. */
  v8Flags?: string[];
  onEvent?: (event: Event) => void;
}

/** A running program. */
export class TalkingProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<number, (answer: Event | undefined) => void>();
  readonly #onEvent: (event: Event) => void;
  readonly #read: Promise<unknown>;
  #errors = "";
  #questions = 0;
  #ended: string | undefined;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;

  /** Starts the process. */
  constructor({ script, args = [], config, v8Flags, onEvent }: StartOptions) {
    this.#onEvent = onEvent ?? (() => {});
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        `--config=${config}`,
        ...(v8Flags === undefined ? [] : [`--v8-flags=${v8Flags.join(",")}`]),
        new URL(script, import.meta.url).href,
        ...args,
      ],
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#input.closed.catch(() => {});
    this.#read = Promise.all([this.#readLines(), this.#readErrors()]);
    this.ended = this.#end();
  }

  /** Its process ID. */
  get pid(): number {
    return this.#child.pid;
  }

  /** How the process ended and its last words, once it has. */
  get death(): string | undefined {
    return this.#ended;
  }

  /**
   * Asks a question. Resolves to `undefined` if no answer comes within
   * `patience` milliseconds.
   */
  async ask(
    what: string,
    details: Event = {},
    patience = 10_000,
  ): Promise<Event | undefined> {
    if (this.#ended !== undefined) return undefined;
    const id = ++this.#questions;
    const { promise, resolve } = Promise.withResolvers<Event | undefined>();
    this.#waiting.set(id, resolve);
    const timer = setTimeout(() => resolve(undefined), patience);
    const line = `${JSON.stringify({ id, ask: what, ...details })}\n`;
    this.#input.write(new TextEncoder().encode(line)).catch(() => {});
    const answer = await promise;
    clearTimeout(timer);
    this.#waiting.delete(id);
    return answer;
  }

  /** Kills the process. */
  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // The process has ended already.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.ended;
    await this.#input.abort().catch(() => {});
  }

  async #end(): Promise<void> {
    const { code, signal } = await this.#child.status;
    await this.#read.catch(() => {});
    const last = /Reached heap limit|out of memory|error: .*/i
      .exec(this.#errors)?.[0] ?? "";
    this.#ended = `${signal ?? `exit code ${code}`} ${last}`.trim();
    for (const resolve of this.#waiting.values()) resolve(undefined);
  }

  async #readLines(): Promise<void> {
    let rest = "";
    const stream = this.#child.stdout.pipeThrough(new TextDecoderStream());
    for await (const piece of stream) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#take(line);
    }
  }

  #take(line: string): void {
    const said = JSON.parse(line) as Event;
    const { id } = said;
    if (typeof id === "number") this.#waiting.get(id)?.(said);
    else this.#onEvent(said);
  }

  async #readErrors(): Promise<void> {
    const stream = this.#child.stderr.pipeThrough(new TextDecoderStream());
    for await (const piece of stream) {
      this.#errors = (this.#errors + piece).slice(-20_000);
    }
  }
}
