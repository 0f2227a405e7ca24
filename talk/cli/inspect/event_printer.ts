import type {
  End,
  ObservedAnswer,
  ObservedBytes,
  ObservedCallEnd,
  ObservedCallStart,
  ObservedChannel,
  ObservedDirection,
  ObservedEvent,
  ObservedFrame,
  ObservedFurtherValue,
  ObservedSession,
  ObservedTrailer,
  ObservedValue,
} from "../../observe/events.ts";
import type { Style } from "../terminal.ts";
import { PointerNames } from "./pointer_names.ts";
import { Line, type Segments } from "./segments.ts";
import {
  addAny,
  addArguments,
  addBytes,
  addHead,
  addValue,
  sizeText,
} from "./value_line.ts";

/** What is printed, and how. */
export interface PrinterOptions {
  /** Whether frames are printed. */
  readonly frames: boolean;
  /** Whether calls and their values are printed. */
  readonly calls: boolean;
  /** The characters of a line, at most. */
  readonly width: number;
  /** Where sessions are passed on to. */
  readonly target: () => string;
  /** Prints a line. */
  readonly print: (line: Segments) => void;
}

/** Milliseconds between two lines about the bytes of a direction. */
const BYTES_INTERVAL = 1_000;
/** Room that a value leaves for what follows it in a line. */
const TAIL = 12;
/** The members of `Q` that say nothing to people. */
const QUIET = new Set([
  "v",
  "lends",
  "keep",
  "trailer",
  "bytes",
  "stream",
  "ping",
  "code",
  "from",
  "again",
]);

/** Bytes of a direction that were seen, and when that was printed. */
interface BytesSeen {
  size: number;
  printed: number;
  at: number;
}

/** Prints events as lines: frames, calls and values. */
export class EventPrinter {
  readonly #options: PrinterOptions;
  readonly #names = new PointerNames();
  /** When the first event happened, which times are counted from. */
  #begun: number | undefined;
  /** Of channels that carry bytes. */
  readonly #bytes = new Map<number, Partial<Record<End, BytesSeen>>>();

  /** Makes a printer that has printed nothing. */
  constructor(options: PrinterOptions) {
    this.#options = options;
  }

  /** Prints an event, if it is to be printed. */
  print(event: ObservedEvent): void {
    this.#learn(event);
    switch (event.type) {
      case "session":
        return this.#session(event);
      case "direction":
        return this.#direction(event);
      case "frame":
        if (this.#options.frames) this.#frame(event);
        return;
      case "channel":
        if (event.state === "closed") this.#bytes.delete(event.channel.number);
        return;
    }
    if (!this.#options.calls) return;
    switch (event.type) {
      case "call":
        return this.#call(event);
      case "answer":
        return this.#answer(event);
      case "value":
        return this.#value(event);
      case "trailer":
        return this.#trailer(event);
      case "bytes":
        return this.#onBytes(event);
      case "call-end":
        return this.#callEnd(event);
    }
  }

  /** Names functions and streams, also in what is not printed. */
  #learn(event: ObservedEvent): void {
    if (event.type === "call") {
      this.#names.learn(event.argument?.value, event.channel);
    } else if (event.type === "answer" || event.type === "value") {
      this.#names.learn(event.value?.value, event.channel);
    }
  }

  #session({ state, session, address, error, time }: ObservedSession): void {
    const line = this.#line(time);
    const opened = state === "opened";
    line.add(opened ? "┌ " : "└ ", "dim").add(`session ${session} `, "bold");
    if (error !== undefined) {
      line.add("lost: ", "red").add(messageOf(error), "red");
    } else if (opened) {
      line.add(address || "unknown address").add(" ⇄ ", "dim")
        .add(this.#options.target());
    } else line.add("closed");
    this.#options.print(line.segments);
  }

  #direction({ by, state, session, error, time }: ObservedDirection): void {
    if (state === "ended" && !this.#options.frames) return;
    const line = this.#line(time, by, session);
    if (state === "ended") line.add("end of the byte stream", "dim");
    else {
      line.add(
        state === "failed"
          ? "failed: "
          : "this direction is not shown any more: ",
        "red",
      ).add(messageOf(error), "red");
    }
    this.#options.print(line.segments);
  }

  #frame(event: ObservedFrame): void {
    const { time, by, session, channel, name, id } = event;
    const line = this.#line(time, by, session, channel);
    line.add(name.padEnd(14), "dim");
    if (channel === undefined) line.add(`unknown channel ID ${id} `, "yellow");
    line.add(frameText(event), "dim");
    if (event.head !== undefined && !this.#options.calls) {
      addHead(line.add("  "), event.head, event.size!);
    }
    this.#options.print(line.segments);
  }

  #call(
    { time, by, session, channel, call, argument }: ObservedCallStart,
  ): void {
    const line = this.#line(time, by, session, channel);
    const named = this.#names.get(call.selector.replace(/^\//, ""));
    const released = /^\/?_qtalk\/release\/(.+)$/.exec(call.selector);
    if (released !== null) {
      line.add(`release ${this.#names.nameOf(released[1]!)}`, "dim");
      return this.#options.print(line.segments);
    }
    line.add(
      named?.name ?? selectorText(call.selector),
      named ? "magenta" : "bold",
    );
    const value = argument?.value;
    if (argument === undefined) {
      line.add("(…)", "dim");
    } else if (call.extension?.stream === true) {
      line.add(" streamed: ", "dim");
      addValue(line, argument, this.#names.nameOf);
    } else if (argument.decoded && (value === null || Array.isArray(value))) {
      line.add("(");
      addArguments(line, value ?? [], this.#names.nameOf);
      line.add(")");
    } else {
      line.add(" ");
      addValue(line, argument, this.#names.nameOf);
    }
    if (named !== undefined) {
      line.add(`  sent with #${named.channel}`, "dim");
    }
    if (call.codec !== "JSON") line.add(`  ${call.codec}`, "dim");
    this.#extension(line, call.extension);
    this.#options.print(line.segments);
  }

  #answer(event: ObservedAnswer): void {
    const { time, by, session, channel, error, continued, extension } = event;
    const line = this.#line(time, by, session, channel, TAIL);
    if (error !== undefined) addError(line, error, extension);
    else if (event.value !== undefined) {
      const isStream = continued && isNull(event.value);
      if (!isStream) addValue(line, event.value, this.#names.nameOf);
      if (continued) {
        if (!isStream) line.add("  ");
        const kind = extension?.trailer === true ? "a stream" : "a channel";
        line.add(`continues as ${kind}`, "cyan");
      }
    } else line.add("…", "dim");
    this.#extension(line, extension);
    this.#printWith(line, durationText(event.duration));
  }

  #value(event: ObservedFurtherValue): void {
    const { time, by, session, channel, value } = event;
    const line = this.#line(time, by, session, channel).add("· ", "dim");
    addValue(line, value, this.#names.nameOf);
    this.#options.print(line.segments);
  }

  #trailer({ time, by, session, channel, error }: ObservedTrailer): void {
    if (error === undefined) return;
    const line = this.#line(time, by, session, channel);
    line.add("· ", "dim").add("error: ", "red").add(error, "red");
    this.#options.print(line.segments);
  }

  #onBytes(event: ObservedBytes): void {
    const { time, by, session, channel, size, head, first } = event;
    const seen = this.#bytesOf(channel, by);
    seen.size += size;
    if (!first && time - seen.at < BYTES_INTERVAL) return;
    seen.at = time;
    seen.printed = seen.size;
    const line = this.#line(time, by, session, channel);
    line.add("bytes ", "cyan");
    if (first) addBytes(line, head, size);
    else line.add(`${sizeText(seen.size)} so far`);
    this.#options.print(line.segments);
  }

  #callEnd(event: ObservedCallEnd): void {
    const { time, session, channel, call, outcome, continued } = event;
    const odd = outcome === "cancelled" || outcome === "unanswered" ||
      outcome === "lost";
    const responder: End = call.caller === "near" ? "far" : "near";
    if (!odd && !continued) return;
    const by = outcome === "unanswered" || !odd ? responder : call.caller;
    const line = this.#line(
      time,
      outcome === "lost" ? undefined : by,
      session,
      channel,
      TAIL,
    );
    if (odd) line.add(OUTCOMES[outcome], "yellow");
    else {
      line.add("end  ", "dim");
      const counts = [
        countText(event, responder, this.#bytes, "received"),
        countText(event, call.caller, this.#bytes, "sent"),
      ];
      line.add(counts.filter((text) => text !== "").join(", "), "dim");
    }
    this.#printWith(line, durationText(event.duration));
  }

  #bytesOf({ number }: ObservedChannel, by: End): BytesSeen {
    let seen = this.#bytes.get(number);
    if (seen === undefined) this.#bytes.set(number, seen = {});
    return seen[by] ??= { size: 0, printed: 0, at: -Infinity };
  }

  #extension(
    line: Line,
    extension: Readonly<Record<string, unknown>> | undefined,
  ): void {
    for (const [name, value] of Object.entries(extension ?? {})) {
      if (QUIET.has(name) || value === "CallError") continue;
      line.add(`  ${name} `, "dim");
      addAny(line, value, this.#names.nameOf);
    }
  }

  /** Prints a line with something at its right end. */
  #printWith(line: Line, right: string): void {
    const used = line.segments.reduce((sum, [, text]) => sum + text.length, 0);
    const { width } = this.#options;
    const gap = Math.max(2, Math.min(width, MAX_RIGHT) - used - right.length);
    this.#options.print([
      ...line.segments,
      [undefined, " ".repeat(gap)],
      ["dim", right],
    ]);
  }

  /** Begins a line: the time, the session, the direction, the channel. */
  #line(
    time: number,
    by?: End,
    session?: number,
    channel?: ObservedChannel,
    reserved = 0,
  ): Line {
    const { width } = this.#options;
    const begun = this.#begun ??= time;
    const line = new Line(width - reserved);
    const seconds = Math.max(0, time - begun) / 1_000;
    line.add(`${seconds.toFixed(3).padStart(8)} `, "dim");
    if (session === undefined) return line;
    const style: Style = by === "near" ? "cyan" : "yellow";
    line.add(`${session} `, "dim");
    line.add(by === undefined ? "· " : by === "near" ? "→ " : "← ", style);
    const number = channel === undefined ? "" : `#${channel.number}`;
    return line.add(`${number.padEnd(5)} `, style);
  }
}

/** The column that figures at the end of a line are aligned to, at most. */
const MAX_RIGHT = 100;

const OUTCOMES = {
  cancelled: "cancelled by its caller",
  unanswered: "closed without an answer",
  lost: "lost: the session ended first",
};

/** The text of an error, after its code. */
function addError(
  line: Line,
  text: string,
  extension: ObservedAnswer["extension"],
): void {
  const code = extension?.code;
  const what = typeof code === "string" ? `error ${code}: ` : "error: ";
  line.add(what, "red").add(text, "red");
}

/** A selector in the form that people write. */
function selectorText(selector: string): string {
  if (selector.startsWith("/_qtalk/")) return selector;
  return selector.replace(/^[/.]/, "").replaceAll("/", ".") || "/";
}

function isNull({ decoded, value }: ObservedValue): boolean {
  return decoded && (value === null || value === undefined);
}

function countText(
  event: ObservedCallEnd,
  end: End,
  bytes: ReadonlyMap<number, Partial<Record<End, BytesSeen>>>,
  verb: string,
): string {
  const size = bytes.get(event.channel.number)?.[end]?.size ?? 0;
  if (size > 0) return `${sizeText(size)} ${verb}`;
  // The argument, and the value that begins a stream.
  const count = event.values[end] - 1;
  return count <= 0 ? "" : `${count} value${count === 1 ? "" : "s"} ${verb}`;
}

function frameText(event: ObservedFrame): string {
  const { name, window, maxPacketSize, senderId, id, size, channel, by } =
    event;
  switch (name) {
    case "OPEN":
      return `id ${id}  window ${sizeText(window!)}  packet ${
        sizeText(maxPacketSize!)
      }`;
    case "OPEN_CONFIRM":
      return `id ${senderId}  window ${sizeText(window!)}  packet ${
        sizeText(maxPacketSize!)
      }`;
    case "WINDOW_ADJUST":
      return `+${sizeText(window!)}${
        leftText(channel, by === "near" ? "far" : "near")
      }`;
    case "DATA":
      return `${sizeText(size!)}${leftText(channel, by)}`;
    default:
      return "";
  }
}

/** What an end may still send. */
function leftText(channel: ObservedChannel | undefined, end: End): string {
  return channel === undefined
    ? ""
    : `  window left ${sizeText(channel.window[end])}`;
}

function durationText(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(2)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(1)} ms`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
