import type { Codec } from "../../../codec/internal.ts";
import { redactedAddress } from "../../../printable_text.ts";
import { resolveAddress } from "../../address.ts";
import { listenRaw } from "../../listener/listen.ts";
import type { ObservedEvent } from "../../observe/events.ts";
import { Tracer } from "../../observe/session_trace.ts";
import { loadCodec } from "../options/codec_option.ts";
import { count, defineCommand } from "../command.ts";
import { changingFiles } from "../options/changing_files.ts";
import { LISTEN_AND_DIAL_OPTIONS } from "../options/connection_options.ts";
import { bothSecurities } from "../options/connection_security.ts";
import { EXIT, OutputClosed, UsageError } from "../exit_code.ts";
import { filtered } from "../inspect/event_filter.ts";
import { EventPrinter } from "../inspect/event_printer.ts";
import { Recorder, replay } from "../inspect/recording.ts";
import type { Segments } from "../inspect/segments.ts";
import { TappedConnection } from "../inspect/tapped_connection.ts";
import {
  announceAddress,
  DRAIN_OPTION,
  drainTimeoutFrom,
  runUntilStopped,
} from "../serve_until_stopped.ts";
import type { Terminal } from "../terminal.ts";

/** The codecs that are recognized. */
const CODECS = "json,cbor,msgpack";
/** The characters of a line that is not printed on a terminal. */
const FILE_WIDTH = 240;
/** The characters of a line with `--full`: more than a value may have. */
const FULL_WIDTH = 1024 * 1024;

/** `qtalk inspect`. */
export const inspect = defineCommand({
  name: "inspect",
  summary: "Shows the frames, calls and values between two peers",
  usage: ["inspect LISTEN DIAL", "inspect FILE"],
  about:
    `Each connection to LISTEN gets its own connection to DIAL. Bytes pass unchanged
in both directions, and are printed as frames, calls and values: → is sent by
the client, ← by the server. Each channel has a number, such as #1. The codec of
a call is recognized. FILE is a file that --save has written.

  qtalk inspect tcp://127.0.0.1:9998 tcp://127.0.0.1:9999
  qtalk inspect tcp://127.0.0.1:9998 tcp://127.0.0.1:9999 --selector 'math.*'
  qtalk inspect session.qtalk --channel 12 --full`,
  options: {
    calls: { type: "boolean", about: "print calls and values only" },
    frames: { type: "boolean", about: "print frames only" },
    selector: {
      type: "string",
      value: "NAME",
      about: "print calls of NAME only; NAME.* is all that begin so",
    },
    channel: {
      type: "string",
      value: "N",
      about: "print what happens on channel N only",
    },
    full: {
      type: "boolean",
      about: "do not cut lines to the width of the terminal",
    },
    save: {
      type: "string",
      value: "FILE",
      about: "write all bytes, with their times, to FILE, too",
    },
    codec: {
      type: "string",
      value: "NAMES",
      about: `codecs to recognize (default ${CODECS})`,
    },
    drain: DRAIN_OPTION,
    ...LISTEN_AND_DIAL_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const [first, to, ...others] = words;
    if (first === undefined || others.length > 0) {
      throw new UsageError(
        `Cannot inspect: expected two addresses or a file, got ${words.length} arguments`,
      );
    }
    if (options.calls && options.frames) {
      throw new UsageError(
        "Cannot use both --calls and --frames: without either, both are printed",
      );
    }
    const channel = count("channel", options.channel);
    const drainTimeout = drainTimeoutFrom(options.drain);
    const usesStdout = [first, to].some((word) => /^stdio:/i.test(word ?? ""));
    let now = () => performance.now();
    const isFile = to === undefined;
    let target = to === undefined ? "" : redactedAddress(to);
    if (isFile) {
      if (options.save !== undefined) {
        throw new UsageError("Cannot --save what is read from a file");
      }
    } else {
      for (const address of [first, to]) checkByteStream(address);
      await resolveAddress(to);
    }
    const printer = new EventPrinter({
      frames: !options.calls,
      calls: !options.frames,
      width: widthOf(terminal, options.full, usesStdout),
      target: () => target,
      print: (line) => printLine(terminal, line, usesStdout),
    });
    const stopped = Promise.withResolvers<never>();
    const print = filtered(
      { selector: options.selector, channel },
      (event) => printer.print(event),
    );
    const tracer = new Tracer({
      codecs: await loadCodecs(options.codec, terminal),
      now: () => now(),
      onEvent(event: ObservedEvent) {
        try {
          print(event);
        } catch (error) {
          // Standard output is closed.
          stopped.reject(error);
        }
      },
    });
    if (isFile) {
      let time = 0;
      now = () => time;
      const reading = readFile(first, tracer, {
        head: ({ dial }) => target = redactedAddress(String(dial)),
        time: (t) => time = t,
      });
      await Promise.race([reading, stopped.promise]);
      return EXIT.ok;
    }
    return await tap(first, to, tracer, stopped.promise);

    async function tap(
      from: string,
      to: string,
      tracer: Tracer,
      stopped: Promise<never>,
    ): Promise<number> {
      const { listening, dialing } = await bothSecurities(
        from,
        to,
        options,
        terminal,
      );
      let failed = false;
      const onError = (error: unknown) => {
        failed = true;
        terminal.error(error);
      };
      using file = options.save === undefined
        ? undefined
        : await createFile(options.save);
      const recorder = file &&
        new Recorder(file, redactedAddress(from), redactedAddress(to), onError);
      const listener = await listenRaw(
        from,
        changingFiles(listening),
        (transport) =>
          new TappedConnection(transport, {
            to,
            dialing,
            tracer,
            recorder,
            onError,
          }),
        {
          admit(connection, { remoteAddr }) {
            connection.begin(redactedAddress(remoteAddr));
            return true;
          },
        },
      );
      const running = runUntilStopped(
        listener,
        terminal,
        drainTimeout,
        () => announceAddress(terminal, listener.addr, to),
      );
      try {
        await Promise.race([running, stopped]);
      } catch (error) {
        if (!(error instanceof OutputClosed)) throw error;
        await listener.close();
      }
      await recorder?.flush();
      return failed && listener.addr === "stdio:" ? EXIT.connection : EXIT.ok;
    }
  },
});

/** Refuses an address whose connections have no byte stream to show. */
function checkByteStream(address: string): void {
  if (!/^quic:/i.test(address)) return;
  throw new UsageError(
    `Cannot inspect "${
      redactedAddress(address)
    }": it has no byte stream, as each channel is a stream of its own`,
  );
}

async function readFile(
  path: string,
  tracer: Tracer,
  on: Parameters<typeof replay>[2],
): Promise<void> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (cause) {
    throw new UsageError(`Cannot read "${path}": ${(cause as Error).message}`, {
      cause,
    });
  }
  try {
    await replay(file.readable, tracer, on);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new UsageError(`Cannot read "${path}": ${cause.message}`, { cause });
  }
}

async function createFile(path: string): Promise<Deno.FsFile> {
  try {
    // It has what was said, secrets included.
    return await Deno.open(path, {
      create: true,
      write: true,
      truncate: true,
      mode: 0o600,
    });
  } catch (cause) {
    throw new UsageError(
      `Cannot write "${path}": ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

/** Loads the codecs to recognize; without --codec, those that can be loaded. */
async function loadCodecs(
  names: string | undefined,
  terminal: Terminal,
): Promise<Codec[]> {
  const loaded = await Promise.all(
    (names ?? CODECS).split(",").map(async (name) => {
      try {
        return [await loadCodec(name)];
      } catch (error) {
        if (names !== undefined) throw error;
        terminal.note(
          `note: calls in ${name} are shown as bytes: it cannot be loaded`,
        );
        return [];
      }
    }),
  );
  return loaded.flat();
}

function widthOf(
  terminal: Terminal,
  full: boolean,
  usesStdout: boolean,
): number {
  if (full) return FULL_WIDTH;
  const isTerminal = usesStdout
    ? terminal.showsProgress
    : terminal.showsResults;
  return isTerminal ? terminal.width : FILE_WIDTH;
}

/** Prints a line; to standard error if standard output carries frames. */
function printLine(
  terminal: Terminal,
  line: Segments,
  usesStdout: boolean,
): void {
  const styled = line.map(([style, text]) =>
    style === undefined
      ? text
      : usesStdout
      ? terminal.onError(style, text)
      : terminal.onResult(style, text)
  ).join("").trimEnd();
  if (usesStdout) terminal.note(styled);
  else terminal.print(styled);
}
