import { json } from "../../../codec/internal.ts";
import { redactedAddress } from "../../../printable_text.ts";
import { count, defineCommand, positive, seconds } from "../command.ts";
import {
  EITHER_OPTIONS,
  ONLY_DIAL_OPTIONS,
  ONLY_LISTEN_OPTIONS,
} from "../options/connection_options.ts";
import {
  dialSecurity,
  listenSecurity,
} from "../options/connection_security.ts";
import { EXIT, UsageError } from "../exit_code.ts";
import {
  DRAIN_OPTION,
  drainTimeoutFrom,
  runUntilStopped,
  serveUntilStopped,
} from "../serve_until_stopped.ts";
import { dialResume, listenResume } from "../options/resume_option.ts";
import type { Terminal } from "../terminal.ts";
import { TunnelPublisher, TunnelRefused } from "../tunnel/tunnel_publisher.ts";
import { TunnelService } from "../tunnel/tunnel_service.ts";
import { type HostAndPort, isName } from "../tunnel/tunnel_wire.ts";

/** The environment variable with the token. */
const TOKEN = "QTALK_TUNNEL_TOKEN";

/** The options of `tunnel`, besides those of both halves. */
const LISTEN_OPTIONS = {
  public: {
    type: "string",
    value: "HOST:PORT",
    about: "where ports are opened (default 127.0.0.1:0)",
  },
  tokens: {
    type: "string",
    value: "FILE",
    about: "a file with further tokens, a line each",
  },
  lease: {
    type: "string",
    value: "SECONDS",
    about: "the port of a lost publisher is kept (default 60)",
  },
  wait: {
    type: "string",
    value: "SECONDS",
    about: "a connection waits for a publisher (default 30)",
  },
  "max-waiting": {
    type: "string",
    value: "N",
    about: "connections that wait on a port (default 64)",
  },
  "max-ports": {
    type: "string",
    value: "N",
    about: "ports in all (default 256)",
  },
  "max-ports-per-token": {
    type: "string",
    value: "N",
    about: "ports of publishers with the same token (default 64)",
  },
  "max-ports-per-client": {
    type: "string",
    value: "N",
    about: "ports of publishers at the same host (default 16)",
  },
  ...ONLY_LISTEN_OPTIONS,
} as const;

const PUBLISH_OPTIONS = {
  name: {
    type: "string",
    value: "NAME",
    about: "what the port is kept under (default HOSTNAME:PORT)",
  },
  port: {
    type: "string",
    value: "PORT",
    about: "the public port; follows from the name if not given",
  },
  timeout: {
    type: "string",
    value: "SECONDS",
    about: "for connecting to ADDRESS (default 30)",
  },
  "max-delay": {
    type: "string",
    value: "SECONDS",
    about: "between attempts to connect, at most (default 10)",
  },
  check: {
    type: "string",
    value: "SECONDS",
    about: "between checks of PORT, 0 for none (default 10)",
  },
  ...ONLY_DIAL_OPTIONS,
} as const;

/** `qtalk tunnel`. */
export const tunnel = defineCommand({
  name: "tunnel",
  summary: "Publishes a local TCP port through a server elsewhere",
  usage: [
    "tunnel listen ADDRESS [--public HOST:PORT]",
    "tunnel publish [HOST:]PORT ADDRESS [--name NAME]",
  ],
  about:
    `"listen" runs on the public server. It listens for publishers at ADDRESS and
opens a TCP port for each of them, on 127.0.0.1 unless --public is given.
"publish" runs next to the local server. It dials ADDRESS and prints the public
port. Each connection to that port becomes a connection to HOST (default
127.0.0.1) and PORT. publish reconnects until a signal stops it. While a
publisher is lost, its port stays open for the --lease time, and connections
wait. When a signal stops the publisher, the port is closed at once.

Both halves need the same token in the environment variable QTALK_TUNNEL_TOKEN,
or --insecure on both, which lets everyone who reaches ADDRESS publish. The
token is not sent. Bytes in the tunnel are encrypted only if publish dials a
tls: or wss: address.

  export QTALK_TUNNEL_TOKEN=$(openssl rand -hex 32)
  qtalk tunnel listen tcp://0.0.0.0:7000 --public 0.0.0.0:8080
  qtalk tunnel publish 3000 tcp://example.com:7000`,
  options: {
    insecure: { type: "boolean", about: "require no token" },
    resume: {
      type: "boolean",
      about: "connections survive that of the publisher; on both",
    },
    drain: DRAIN_OPTION,
    ...EITHER_OPTIONS,
    ...LISTEN_OPTIONS,
    ...PUBLISH_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const [role, ...rest] = words;
    const drainTimeout = drainTimeoutFrom(options.drain);
    if (role === "listen" && rest.length === 1) {
      refuseOthers("listen", "publish", options, PUBLISH_OPTIONS);
      const security = await listenSecurity(rest[0]!, options);
      const resuming = listenResume(rest[0]!, options.resume);
      const tokens = await tokensFrom(options.tokens);
      checkTokens("listen", tokens, options.insecure);
      const service = new TunnelService({
        place: hostAndPort(options.public ?? "127.0.0.1:0"),
        tokens,
        leaseTime: seconds("lease", options.lease) ?? 60_000,
        waitTime: seconds("wait", options.wait) ?? 30_000,
        maxWaiting: count("max-waiting", options["max-waiting"]) ?? 64,
        maxPorts: count("max-ports", options["max-ports"]) ?? 256,
        maxPortsPerToken:
          count("max-ports-per-token", options["max-ports-per-token"]) ?? 64,
        maxPortsPerClient:
          count("max-ports-per-client", options["max-ports-per-client"]) ?? 16,
        terminal,
      });
      return await serveUntilStopped(rest[0]!, {
        handler: service.router,
        codecs: [json()],
        terminal,
        drainTimeout,
        onClose: () => service.close(),
        ...resuming,
        ...security,
      });
    }
    if (role === "publish" && rest.length === 2) {
      refuseOthers("publish", "listen", options, LISTEN_OPTIONS);
      const token = environmentToken();
      checkTokens(
        "publish",
        token === undefined ? [] : [token],
        options.insecure,
      );
      const target = hostAndPort(rest[0]!);
      const dialing = {
        ...await dialSecurity(rest[1]!, options, terminal),
        ...dialResume(rest[1]!, options.resume, terminal),
      };
      const publisher = new TunnelPublisher(rest[1]!, target, {
        name: nameFrom(options.name, target),
        port: publicPort(options.port),
        token,
        timeout: milliseconds("timeout", options.timeout) ?? 30_000,
        maxDelay: milliseconds("max-delay", options["max-delay"]) ?? 10_000,
        checkInterval: seconds("check", options.check) ?? 10_000,
        dialing,
        terminal,
      });
      return await publish(publisher, terminal, drainTimeout);
    }
    throw new UsageError(
      "Cannot tunnel: expected `listen ADDRESS` or `publish PORT ADDRESS`",
    );
  },
});

async function publish(
  publisher: TunnelPublisher,
  terminal: Terminal,
  drainTimeout: number,
): Promise<number> {
  try {
    await runUntilStopped(
      publisher,
      terminal,
      drainTimeout,
      () => void publisher.run(),
    );
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof TunnelRefused)) throw error;
    terminal.error(error);
    return EXIT.remote;
  }
}

/** Refuses the options of the other half. */
function refuseOthers(
  role: string,
  other: string,
  given: Readonly<Record<string, unknown>>,
  options: Readonly<Record<string, unknown>>,
): void {
  for (const name of Object.keys(options)) {
    if (given[name] === undefined) continue;
    throw new UsageError(
      `Cannot ${role} with --${name}: it is an option of \`tunnel ${other}\``,
    );
  }
}

/** The token that both ends share, if the program may read the environment. */
function environmentToken(): string | undefined {
  const variable = TOKEN;
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) || undefined : undefined;
}

/** All tokens of a server. */
async function tokensFrom(file: string | undefined): Promise<string[]> {
  const token = environmentToken();
  const tokens = token === undefined ? [] : [token];
  if (file === undefined) return tokens;
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (cause) {
    throw new UsageError(
      `Cannot read the tokens in "${file}": ${(cause as Error).message}`,
      { cause },
    );
  }
  const lines = text.split("\n").map((line) => line.trim());
  return [...new Set([...tokens, ...lines.filter((line) => line !== "")])];
}

function checkTokens(
  role: string,
  tokens: readonly string[],
  insecure: boolean,
): void {
  if (tokens.length > 0 || insecure) return;
  throw new UsageError(
    `Cannot ${role} without a token: set ${TOKEN}, or pass --insecure`,
  );
}

/** The name of a tunnel, by default one that another start of it has as well. */
function nameFrom(name: string | undefined, target: HostAndPort): string {
  if (name !== undefined) {
    if (isName(name)) return name;
    throw new UsageError(
      `Cannot use --name: "${name}" is not 1 to 64 letters, digits and characters of _.:@+-`,
    );
  }
  const { state } = Deno.permissions.querySync({
    name: "sys",
    kind: "hostname",
  });
  const host = state === "granted" ? Deno.hostname() : crypto.randomUUID();
  const isLocal = ["127.0.0.1", "localhost", "::1"].includes(target.hostname);
  const local = isLocal ? "" : `${target.hostname}:`;
  const port = `:${local}${target.port}`.replaceAll(/[^\w.:@+-]/g, "-");
  return `${host.slice(0, 40).replaceAll(/[^\w.@+-]/g, "-")}${port}`.slice(-64);
}

function publicPort(text: string | undefined): number {
  const port = count("port", text);
  if (port === undefined || port >= 1_024 && port <= 65_535) return port ?? 0;
  throw new UsageError(
    `Cannot use --port: "${text}" is not a port from 1024 to 65535`,
  );
}

function milliseconds(
  name: string,
  text: string | undefined,
): number | undefined {
  const value = positive(name, text);
  return value === undefined
    ? undefined
    : Math.min(Math.max(1, value * 1_000), 2 ** 31 - 1);
}

/** Parses `PORT`, `HOST:PORT` or `[HOST]:PORT`. */
function hostAndPort(text: string): HostAndPort {
  const match = /^(?:(?:\[([^\]]+)\]|([^:\s]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new UsageError(
      `Cannot use "${redactedAddress(text)}": expected PORT or HOST:PORT`,
    );
  }
  return { hostname: match[1] ?? match[2] ?? "127.0.0.1", port };
}
