import type { End } from "../../observe/events.ts";
import type { SessionTrace, Tracer } from "../../observe/session_trace.ts";

/** What the first line of a recording has. */
export interface Head {
  qtalk: "recording";
  version: 1;
  started: string;
  listen: string;
  dial: string;
}

/** Another line: bytes of an end, its end, or the begin or the end of a session. */
interface Entry {
  /** Milliseconds since the recording began. */
  t: number;
  session: number;
  open?: string;
  by?: "client" | "server";
  data?: string;
  end?: true;
  close?: true;
  error?: string;
}

const SIDES = { near: "client", far: "server" } as const;

/** Where a recording is written. */
export interface RecordingSink {
  write(bytes: Uint8Array): Promise<number>;
}

/** Writes a recording. */
export class Recorder {
  readonly #sink: RecordingSink;
  readonly #begun = performance.now();
  readonly #onError: (error: unknown) => void;
  readonly #encoder = new TextEncoder();
  #last: Promise<void> = Promise.resolve();
  #failed = false;

  /** Begins a recording; an error of writing is reported once, and ends it. */
  constructor(
    sink: RecordingSink,
    listen: string,
    dial: string,
    onError: (error: unknown) => void,
  ) {
    this.#sink = sink;
    this.#onError = onError;
    const started = new Date().toISOString();
    const head: Head = {
      qtalk: "recording",
      version: 1,
      started,
      listen,
      dial,
    };
    void this.#write(head);
  }

  /** Records an entry; resolves when it is written. */
  add(entry: Omit<Entry, "t" | "by"> & { by?: End }): Promise<void> {
    const { by, ...rest } = entry;
    const t = Math.round((performance.now() - this.#begun) * 1_000) / 1_000;
    const side = by === undefined ? {} : { by: SIDES[by] };
    return this.#write({ t, ...side, ...rest });
  }

  /** Resolves when all is written. */
  async flush(): Promise<void> {
    await this.#last;
  }

  #write(line: Head | Entry): Promise<void> {
    if (this.#failed) return Promise.resolve();
    const bytes = this.#encoder.encode(`${JSON.stringify(line)}\n`);
    return this.#last = this.#last.then(() => this.#writeAll(bytes));
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    if (this.#failed) return;
    try {
      for (let at = 0; at < bytes.length;) {
        at += await this.#sink.write(bytes.subarray(at));
      }
    } catch (error) {
      this.#failed = true;
      this.#onError(error);
    }
  }
}

/**
 * Reads a recording, and has its bytes traced as if they were passing now.
 *
 * @param source the bytes of the file
 * @param on `head` is called with the first line, `time` with the time of each entry,
 * in milliseconds
 * @throws {SyntaxError} if a line is not one of a recording
 */
export async function replay(
  source: ReadableStream<Uint8Array<ArrayBuffer>>,
  tracer: Tracer,
  on: { head(head: Head): void; time(time: number): void },
): Promise<void> {
  const sessions = new Map<number, SessionTrace>();
  let number = 0;
  for await (const line of linesOf(source)) {
    number++;
    if (number === 1) on.head(headOf(line));
    else if (line !== "") play(entryOf(line, number));
  }
  if (number === 0) headOf("");
  // It was written by a program that was killed.
  for (const trace of sessions.values()) trace.close();

  function play(entry: Entry): void {
    const { t, session, open, by, data, end, close, error } = entry;
    on.time(t);
    if (open !== undefined) sessions.set(session, tracer.session(open));
    const trace = sessions.get(session);
    if (trace === undefined) return;
    const side: End = by === "server" ? "far" : "near";
    const reason = error === undefined ? undefined : new Error(error);
    if (data !== undefined) trace.push(side, Uint8Array.fromBase64(data));
    else if (end) trace.end(side, reason);
    else if (close) {
      trace.close(reason);
      sessions.delete(session);
    }
  }
}

function headOf(line: string): Head {
  let head: Partial<Head> | undefined;
  try {
    head = JSON.parse(line);
  } catch {
    // It is no recording.
  }
  if (head?.qtalk !== "recording") {
    throw new SyntaxError("it does not begin like a recording");
  }
  if (head.version !== 1) {
    throw new SyntaxError(`it has version ${head.version}, and not 1`);
  }
  return head as Head;
}

function entryOf(line: string, number: number): Entry {
  try {
    const entry = JSON.parse(line) as Entry;
    if (typeof entry.t === "number" && typeof entry.session === "number") {
      return entry;
    }
  } catch {
    // Reported below.
  }
  throw new SyntaxError(`line ${number} is not an entry of a recording`);
}

/** The lines of a file; an incomplete last one is left out. */
async function* linesOf(
  source: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of source.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
