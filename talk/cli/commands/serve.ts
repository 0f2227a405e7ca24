import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { redactedAddress, redactedIn } from "../../../printable_text.ts";
import { type Handler, handlerFrom } from "../../../rpc/internal.ts";
import {
  type ReflectionOptions,
  withReflection,
} from "../../../rpc/internal_cli.ts";
import { CODEC_OPTION, codecName, loadCodec } from "../codec_option.ts";
import { defineCommand } from "../command.ts";
import { LISTEN_OPTIONS, listenSecurity } from "../connection_options.ts";
import { UsageError } from "../exit_code.ts";
import {
  DRAIN_OPTION,
  drainTimeoutFrom,
  serveUntilStopped,
  VERBOSE_OPTION,
} from "../serve_until_stopped.ts";

/** Where `serve` listens by default. */
const ADDRESS = "tcp://127.0.0.1:9999";

/** `qtalk serve`. */
export const serve = defineCommand({
  name: "serve",
  summary: "Serves the default export of a module",
  usage: ["serve FILE.ts"],
  about:
    `The default export is an object whose methods are called by name, a function
that answers every call, or a handler such as a Router. FILE may also be a URL.
Prints the address it listens on. SIGINT or SIGTERM stops it with exit code 0:
calls in progress have the time of --drain to end, unless a second signal comes.

Peers can ask what the service offers (qtalk describe), whether it works and how
it is used. For that, the module may also export "name", "version" and "doc",
which are strings, and "health", a function that throws if the service does not
work.

With --address stdio: it serves the program that started it. Standard output
then carries frames only, so the service must log to standard error.

  echo 'export default { Upper: (s: string) => s.toUpperCase() }' >upper.ts
  qtalk serve upper.ts --address tcp://127.0.0.1:0`,
  options: {
    address: {
      type: "string",
      short: "a",
      value: "ADDRESS",
      about: `where to listen (default ${ADDRESS})`,
    },
    codec: {
      ...CODEC_OPTION,
      about: "json (default), cbor or msgpack, or several: json,cbor",
    },
    "no-reflection": {
      type: "boolean",
      about: "answer no questions about the service",
    },
    drain: DRAIN_OPTION,
    verbose: VERBOSE_OPTION,
    ...LISTEN_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const [file, ...others] = words;
    if (file === undefined || others.length > 0) {
      throw new UsageError(
        `Cannot serve: expected one file, got ${words.length}`,
      );
    }
    const drainTimeout = drainTimeoutFrom(options.drain);
    const address = options.address ?? ADDRESS;
    const security = await listenSecurity(address, options);
    const names = codecName(options.codec, "json").split(",");
    const codecs = await Promise.all(names.map(loadCodec));
    const module = await load(file);
    const service = serviceOf(file, module.default);
    const handler = options["no-reflection"]
      ? service
      : withReflection(service, aboutOf(module));
    return await serveUntilStopped(address, {
      handler,
      codecs,
      terminal,
      drainTimeout,
      verbose: options.verbose,
      ...security,
    });
  },
});

/** What a module may export besides the service. */
interface ServedModule {
  readonly default?: unknown;
  readonly name?: unknown;
  readonly version?: unknown;
  readonly doc?: unknown;
  readonly health?: unknown;
}

/**
 * What a module says of its service. Exports of other kinds than expected are there
 * for something else.
 */
function aboutOf(
  { name, version, doc, health }: ServedModule,
): ReflectionOptions {
  return {
    ...(typeof name === "string" && { name }),
    ...(typeof version === "string" && { version }),
    ...(typeof doc === "string" && { doc }),
    ...(typeof health === "function" && { health: () => health() }),
  };
}

function notServed(file: string, why: string): TypeError {
  return new TypeError(`Cannot serve "${redactedAddress(file)}": ${why}`);
}

/** Loads a module. */
async function load(file: string): Promise<ServedModule> {
  const url = /^[a-z]{2,}:/i.test(file)
    ? file
    : pathToFileURL(resolve(file)).href;
  try {
    return await import(url) as ServedModule;
  } catch (cause) {
    const { message, stack = "" } = cause as Error;
    const place = /\bat (?:.*\()?((?:file|https?):[^\s)]+)/.exec(stack)?.[1];
    const where = place && !message.includes(place) ? ` (at ${place})` : "";
    const text = `Cannot load "${redactedAddress(file)}": ${
      redactedIn(message + where)
    }`;
    // Whatever prints the error prints its cause as well.
    throw new Error(text, url === file ? undefined : { cause });
  }
}

/** The handler for a default export. */
function serviceOf(file: string, service: unknown): Handler {
  if (isHandler(service)) return service;
  const isClass = typeof service === "function" &&
    /^class\b/.test(Function.prototype.toString.call(service));
  if (
    isClass || service === null ||
    typeof service !== "object" && typeof service !== "function"
  ) {
    throw notServed(
      file,
      `its default export is ${
        isClass
          ? "a class, not an instance"
          : service === undefined
          ? "missing"
          : `not a service: ${Deno.inspect(service)}`
      }`,
    );
  }
  return handlerFrom(service);
}

function isHandler(service: unknown): service is Handler {
  return typeof service === "object" && service !== null &&
    typeof (service as { respond?: unknown }).respond === "function";
}
