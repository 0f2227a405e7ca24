/**
 * What commands write: results to standard output, everything else to standard
 * error. Colour and progress are for people, so only a terminal gets them.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { OutputClosed } from "./exit_code.ts";

/** Standard output, or error. */
export interface Sink {
  /** Writes some of `bytes`; returns how many. */
  writeSync(bytes: Uint8Array): number;
  /** Whether a person looks at it. */
  isTerminal(): boolean;
}

/** Numbers of ANSI's "select graphic rendition". */
const STYLES = { bold: 1, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
/** A way to write text. */
export type Style = keyof typeof STYLES;

/** Milliseconds between two states of the progress line. */
const PROGRESS_INTERVAL = 100;
/** Milliseconds of waiting that need no words, and then between two of them. */
const SECOND = 1_000;
/** Characters of results after which they are written within the turn. */
const FLUSH_SIZE = 16 * 1024;
/** Back to the first column, and the line erased. */
const ERASE = "\r\x1b[2K";

/** Where a command writes to. */
export class Terminal {
  readonly #out: Sink;
  readonly #err: Sink;
  readonly #colour: boolean;
  readonly #encoder = new TextEncoder();
  #progressAt = -Infinity;
  #progressShown = false;
  /** Results to be written: a system call for each would take half the time. */
  #pending = "";
  #flushing = false;
  /** Why results cannot be written. */
  #failure: unknown;

  /**
   * Makes one of this process's own streams.
   *
   * @param out for results
   * @param err for everything else
   * @param colour whether a terminal gets colour: not with NO_COLOR set
   */
  constructor(
    out: Sink = Deno.stdout,
    err: Sink = Deno.stderr,
    colour = !Deno.noColor,
  ) {
    this.#out = out;
    this.#err = err;
    this.#colour = colour;
  }

  /** Whether somebody could see how far a command is. */
  get showsProgress(): boolean {
    return this.#err.isTerminal();
  }

  /** Whether results go to a terminal too, and would mix with progress. */
  get showsResults(): boolean {
    return this.#out.isTerminal();
  }

  /**
   * A line of result, which is written before this turn of the event loop ends.
   *
   * @throws {OutputClosed} if nobody reads it any more
   */
  print(line: string): void {
    this.#pending += `${line}\n`;
    if (this.#pending.length >= FLUSH_SIZE || this.#failure !== undefined) {
      return this.flush();
    }
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      try {
        this.flush();
      } catch {
        // Whoever prints, or ends, next hears of it.
      }
    });
  }

  /**
   * Writes all results now.
   *
   * @throws {OutputClosed} if nobody reads them any more
   */
  flush(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#pending === "") return;
    this.clearProgress();
    const text = this.#pending;
    this.#pending = "";
    try {
      this.#write(this.#out, text);
    } catch (cause) {
      this.#failure = cause instanceof Deno.errors.BrokenPipe
        ? new OutputClosed("Cannot print: the output is closed", { cause })
        : cause;
      throw this.#failure;
    }
  }

  /** A line about the work, for whoever watches or reads logs. */
  note(line: string): void {
    try {
      // On a terminal, both are read as one.
      this.flush();
    } catch {
      // Whoever prints, or ends, next hears of it.
    }
    try {
      this.clearProgress();
      this.#write(this.#err, `${line}\n`);
    } catch {
      // Nobody listens, and there is nobody else to tell.
    }
  }

  /** An error, in one line. */
  error(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.note(`${this.onError("red", "error:")} ${text}`);
  }

  /** Text for a result, in a style if a terminal shows it. */
  onResult(style: Style, text: string): string {
    return this.#styled(this.#out, style, text);
  }

  /** Text for standard error, in a style if a terminal shows it. */
  onError(style: Style, text: string): string {
    return this.#styled(this.#err, style, text);
  }

  /** Says how far it is, in a line that the next one replaces. */
  progress(text: string): void {
    const now = performance.now();
    if (!this.showsProgress || now - this.#progressAt < PROGRESS_INTERVAL) {
      return;
    }
    this.#progressAt = now;
    this.#progressShown = true;
    this.#write(this.#err, ERASE + text.slice(0, columns() - 1));
  }

  /** Takes the progress line away. */
  clearProgress(): void {
    if (!this.#progressShown) return;
    this.#progressShown = false;
    this.#progressAt = -Infinity;
    this.#write(this.#err, ERASE);
  }

  /** Waits for `promise`; says so, once that takes long. */
  async waiting<T>(what: string, promise: Promise<T>): Promise<T> {
    if (!this.showsProgress) return await promise;
    let seconds = 0;
    const say = () => {
      this.progress(`${what} (${++seconds} s)`);
      timer = setTimeout(say, SECOND);
    };
    let timer = setTimeout(say, SECOND);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.clearProgress();
    }
  }

  #styled(sink: Sink, style: Style, text: string): string {
    if (!this.#colour || !sink.isTerminal()) return text;
    return `\x1b[${STYLES[style]}m${text}\x1b[0m`;
  }

  #write(sink: Sink, text: string): void {
    const bytes = this.#encoder.encode(text);
    for (let at = 0; at < bytes.length;) {
      at += sink.writeSync(bytes.subarray(at));
    }
  }
}

function columns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}
