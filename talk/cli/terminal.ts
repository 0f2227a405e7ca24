import { setImmediate } from "node:timers";
import { TlsError } from "../../mux/internal.ts";
import { printableText, redactedIn } from "../../printable_text.ts";
import { RemoteError } from "../../rpc/internal.ts";
import { OutputClosed } from "./exit_code.ts";
import { type FlagContext, withFlagNames } from "./options/flag_names.ts";

/** Standard output or standard error. */
export interface Sink {
  /** Writes some of `bytes`; returns how many it wrote. */
  writeSync(bytes: Uint8Array): number;
  /** Whether it is a terminal. */
  isTerminal(): boolean;
}

/** Parameters of ANSI's "select graphic rendition". */
const STYLES = {
  bold: 1,
  dim: 2,
  red: 31,
  green: 32,
  yellow: 33,
  blue: 34,
  magenta: 35,
  cyan: 36,
} as const;
/** A style of text. */
export type Style = keyof typeof STYLES;

/** Milliseconds between two updates of the progress line. */
const PROGRESS_INTERVAL = 100;
/** Milliseconds until waiting is shown, and between its updates. */
const SECOND = 1_000;
/** The least length of a secret: a shorter one is part of many texts. */
const MIN_SECRET = 4;
/** Characters of results after which they are written at once. */
const FLUSH_SIZE = 16 * 1024;
/** Moves to the first column and erases the line. */
const ERASE = "\r\x1b[2K";

/**
 * The output of a command: results go to standard output and everything else to
 * standard error. Colour and progress appear on a terminal only.
 */
export class Terminal implements FlagContext {
  /** The flags of the command, which its errors name. */
  flags: readonly string[] = [];
  /** See {@linkcode FlagContext.dialPrefix}. */
  dialPrefix: "" | "dial-" = "";
  readonly #out: Sink;
  readonly #err: Sink;
  readonly #colour: boolean;
  readonly #encoder = new TextEncoder();
  #progressAt = -Infinity;
  #progressShown = false;
  /** Buffered results: a system call for each would double the time. */
  #pending = "";
  #flushing = false;
  /** The error of writing results. */
  #failure: unknown;
  /** What errors do not show. */
  readonly #secrets: string[] = [];

  /**
   * Makes a terminal, by default of the streams of this process.
   *
   * @param out for results
   * @param err for everything else
   * @param colour whether to use colour on a terminal; not if NO_COLOR is set
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

  /** Whether standard error is a terminal, which shows progress. */
  get showsProgress(): boolean {
    return this.#err.isTerminal();
  }

  /** Whether standard output is a terminal, where progress would mix with it. */
  get showsResults(): boolean {
    return this.#out.isTerminal();
  }

  /**
   * Prints a line of results, at the end of this turn of the event loop. What came
   * from the other end must have been made printable.
   *
   * @throws {OutputClosed} if standard output is closed
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
        // The next print() or flush() throws it.
      }
    });
  }

  /**
   * Writes all buffered results.
   *
   * @throws {OutputClosed} if standard output is closed
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

  /** Prints a notice of this side to standard error, as it is. */
  note(line: string): void {
    try {
      // Keeps the order if both streams are the same terminal.
      this.flush();
    } catch {
      // The next print() or flush() throws it.
    }
    try {
      this.clearProgress();
      this.#write(this.#err, `${line}\n`);
    } catch {
      // Standard error is closed: there is nowhere to report that.
    }
  }

  /**
   * Replaces a secret of the command line in all errors: the other end may quote it.
   * The credentials that follow a word, as in `Bearer …`, are one by themselves.
   */
  conceal(secret: string): void {
    const [, credentials = ""] = /^\S+\s+(.+)$/.exec(secret) ?? [];
    const found = [secret, credentials];
    this.#secrets.push(...found.filter(({ length }) => length >= MIN_SECRET));
  }

  /**
   * Prints an error in one line to standard error. Its text may come from the
   * other end: it is made printable. Addresses in it are printed without secrets, and
   * options of the library as the flags of the command.
   */
  error(error: unknown): void {
    const said = textOf(error);
    // The options of the other end are not given here.
    const shown = error instanceof RemoteError
      ? said
      : withFlagNames(said, this);
    const text = redactedIn(
      this.#secrets.reduce((text, one) => text.replaceAll(one, "…"), shown),
    );
    this.note(`${this.onError("red", "error:")} ${printableText(text)}`);
  }

  /** Styles text for standard output, if that is a terminal. */
  onResult(style: Style, text: string): string {
    return this.#styled(this.#out, style, text);
  }

  /** Styles text for standard error, if that is a terminal. */
  onError(style: Style, text: string): string {
    return this.#styled(this.#err, style, text);
  }

  /** The width of the terminal, 80 if there is none. */
  get width(): number {
    return columns();
  }

  /** Shows progress, in a line that the next one replaces. */
  progress(text: string): void {
    const now = performance.now();
    if (!this.showsProgress || now - this.#progressAt < PROGRESS_INTERVAL) {
      return;
    }
    this.#progressAt = now;
    this.#progressShown = true;
    const line = printableText(text).slice(0, columns() - 1);
    this.#write(this.#err, ERASE + line);
  }

  /** Erases the progress line. */
  clearProgress(): void {
    if (!this.#progressShown) return;
    this.#progressShown = false;
    this.#progressAt = -Infinity;
    this.#write(this.#err, ERASE);
  }

  /** Awaits a promise, and shows what it waits for after a second. */
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

/** The text of an error; with what is wrong about TLS, if that is the cause. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message } = error;
  for (let { cause } = error; cause instanceof Error; { cause } = cause) {
    if (!(cause instanceof TlsError) || message.includes(cause.message)) {
      continue;
    }
    return `${message}: ${cause.message}`;
  }
  return message;
}

function columns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}
