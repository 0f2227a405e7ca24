import { withReflection } from "../../../rpc/internal_cli.ts";
import { CODEC_OPTION, codecName, loadCodec } from "../options/codec_option.ts";
import { count, defineCommand } from "../command.ts";
import { PEER_LISTEN_OPTIONS } from "../options/connection_options.ts";
import { listenSecurity } from "../options/connection_security.ts";
import { UsageError } from "../exit_code.ts";
import {
  LISTEN_RESUME_OPTION,
  listenResume,
} from "../options/resume_option.ts";
import { loadService } from "../serve/served_module.ts";
import { serveInParallel } from "../serve/parallel.ts";
import {
  DRAIN_OPTION,
  drainTimeoutFrom,
  serveUntilStopped,
  VERBOSE_OPTION,
} from "../serve_until_stopped.ts";

/** Where `serve` listens by default. */
const ADDRESS = "tcp://127.0.0.1:9999";
/** Workers that `--parallel` starts at most: a mistyped number stops the machine. */
const MAX_WORKERS = 1_024;

/** `qtalk serve`. */
export const serve = defineCommand({
  name: "serve",
  summary: "Serves the default export of a module",
  usage: ["serve FILE.ts"],
  about:
    `The default export is an object whose methods are called by name, a function
that answers every call, or a handler such as a Router. FILE may also be a URL.
Prints the address it listens on. SIGINT or SIGTERM stops it with exit code 0:
calls in progress have the time given by --drain to finish, unless a second
signal arrives.

Peers can ask what the service offers (qtalk describe), whether it works and how
it is used. For that, the module may also export "name", "version" and "doc",
which are strings, and "health", a function that throws if the service does not
work.

With --parallel N, N workers load the module, each on a thread of its own, and
listen at the same port; a connection belongs to one of them. They share no
memory. The service is healthy if it is healthy in all of them. This needs deno
--unstable-net, and Linux to divide the connections evenly.

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
    parallel: {
      type: "string",
      value: "N",
      about: "serve with N workers (default 1: no workers)",
    },
    resume: LISTEN_RESUME_OPTION,
    drain: DRAIN_OPTION,
    verbose: VERBOSE_OPTION,
    ...PEER_LISTEN_OPTIONS,
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
    const resuming = listenResume(address, options.resume);
    const names = codecName(options.codec, "json").split(",");
    const codecs = await Promise.all(names.map(loadCodec));
    const reflection = !options["no-reflection"];
    const workers = count("parallel", options.parallel) ?? 1;
    if (workers > MAX_WORKERS) {
      throw new UsageError(
        `Cannot use --parallel: ${workers} is more than ${MAX_WORKERS}`,
      );
    }
    if (workers > 1) {
      if (options.resume) {
        throw new UsageError(
          "Cannot use --resume with --parallel: the next connection of a client may reach another worker",
        );
      }
      return await serveInParallel(workers, {
        file,
        address,
        codecs: names,
        reflection,
        verbose: options.verbose ?? false,
        security,
        flags: terminal.flags,
      }, { terminal, drainTimeout });
    }
    const { service, about } = await loadService(file);
    return await serveUntilStopped(address, {
      handler: reflection ? withReflection(service, about) : service,
      codecs,
      terminal,
      drainTimeout,
      verbose: options.verbose,
      ...resuming,
      ...security,
    });
  },
});
