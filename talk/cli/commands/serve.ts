import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Handler, handlerFrom } from "../../../rpc/internal.ts";
import { CODEC_OPTION, codecName, loadCodec } from "../codec_option.ts";
import { defineCommand } from "../command.ts";
import { UsageError } from "../exit_code.ts";
import { serveUntilStopped } from "../run_until_stopped.ts";

/** Where `serve` listens if it is not told. */
const ADDRESS = "tcp://127.0.0.1:9999";

/** `qtalk serve`. */
export const serve = defineCommand({
  name: "serve",
  summary: "Serves what a module exports by default",
  usage: ["serve FILE.ts"],
  about:
    `The default export is an object whose methods are called by their names, a
function that answers every call, or a handler, such as a Router. FILE may also
be a URL. Prints where it listens; SIGINT and SIGTERM end it, with exit code 0.

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
  },
  async run({ words, options, terminal }) {
    const [file, ...others] = words;
    if (file === undefined || others.length > 0) {
      throw new UsageError(
        `Cannot serve: expected one file, got ${words.length}`,
      );
    }
    const names = codecName(options.codec, "json").split(",");
    const codecs = await Promise.all(names.map(loadCodec));
    const handler = serviceOf(file, await load(file));
    return await serveUntilStopped(
      options.address ?? ADDRESS,
      handler,
      codecs,
      terminal,
    );
  },
});

/** What a module exports by default. */
async function load(file: string): Promise<unknown> {
  const url = /^[a-z]{2,}:/i.test(file)
    ? file
    : pathToFileURL(resolve(file)).href;
  try {
    const module = await import(url) as { default?: unknown };
    return module.default;
  } catch (cause) {
    const { message, stack = "" } = cause as Error;
    const place = /\bat (?:.*\()?((?:file|https?):[^\s)]+)/.exec(stack)?.[1];
    const where = place && !message.includes(place) ? ` (at ${place})` : "";
    throw new Error(`Cannot load "${file}": ${message}${where}`, { cause });
  }
}

/** The handler that it is, or that can be made of it. */
function serviceOf(file: string, service: unknown): Handler {
  if (isHandler(service)) return service;
  const isClass = typeof service === "function" &&
    /^class\b/.test(Function.prototype.toString.call(service));
  if (
    isClass || service === null ||
    typeof service !== "object" && typeof service !== "function"
  ) {
    throw new TypeError(
      `Cannot serve "${file}": its default export is ${
        isClass
          ? "a class, and no instance"
          : service === undefined
          ? "missing"
          : `no service: ${Deno.inspect(service)}`
      }`,
    );
  }
  return handlerFrom(service);
}

function isHandler(service: unknown): service is Handler {
  return typeof service === "object" && service !== null &&
    typeof (service as { respond?: unknown }).respond === "function";
}
