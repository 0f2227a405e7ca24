import { printableText, redactedAddress } from "../../../printable_text.ts";
import { dial } from "../../dial.ts";
import { defineCommand, positive } from "../command.ts";
import { EXIT, UsageError } from "../exit_code.ts";
import { runUntilStopped, serveUntilStopped } from "../run_until_stopped.ts";
import { json } from "../../../codec/internal.ts";
import type { Terminal } from "../terminal.ts";
import { publishTarget } from "../tunnel/tunnel_publisher.ts";
import { type HostAndPort, tunnelService } from "../tunnel/tunnel_service.ts";

/** `qtalk tunnel`. */
export const tunnel = defineCommand({
  name: "tunnel",
  summary: "Publishes a local TCP port through a server elsewhere",
  usage: [
    "tunnel listen ADDRESS [--public HOST:PORT]",
    "tunnel publish [HOST:]PORT ADDRESS",
  ],
  about:
    `"listen" runs on the public server. It listens for publishers at ADDRESS and
opens a TCP port for each of them: a free one on 127.0.0.1 unless --public is
given. "publish" runs beside the local server. It dials ADDRESS and prints the
public port. Each connection to that port becomes a connection to HOST (default
127.0.0.1) and PORT. The port is closed when its publisher ends.

Anyone who can reach ADDRESS can publish, unless both ends have the same token
in the environment variable QTALK_TUNNEL_TOKEN.

  qtalk tunnel listen tcp://0.0.0.0:7000 --public 0.0.0.0:8080
  qtalk tunnel publish 3000 tcp://example.com:7000`,
  options: {
    public: {
      type: "string",
      value: "HOST:PORT",
      about: "where ports are opened (default 127.0.0.1:0)",
    },
    timeout: {
      type: "string",
      value: "SECONDS",
      about: "for connecting to ADDRESS (default 30)",
    },
  },
  async run({ words, options, terminal }) {
    const [role, ...rest] = words;
    if (role === "listen" && rest.length === 1) {
      const place = hostAndPort(options.public ?? "127.0.0.1:0");
      const service = tunnelService({ place, token: token(), terminal });
      return await serveUntilStopped(rest[0]!, service, [json()], terminal);
    }
    if (role === "publish" && rest.length === 2) {
      if (options.public !== undefined) {
        throw new UsageError(
          "Cannot publish with --public: it is an option of `tunnel listen`",
        );
      }
      const target = hostAndPort(rest[0]!);
      const seconds = positive("timeout", options.timeout) ?? 30;
      return await publish(target, rest[1]!, seconds * 1_000, terminal);
    }
    throw new UsageError(
      "Cannot tunnel: expected `listen ADDRESS` or `publish PORT ADDRESS`",
    );
  },
});

async function publish(
  target: HostAndPort,
  address: string,
  timeout: number,
  terminal: Terminal,
): Promise<number> {
  await using peer = await terminal.waiting(
    `Connecting to ${redactedAddress(address)}`,
    dial(address, { timeout }),
  );
  await using published = await publishTarget(peer, target, {
    token: token(),
    timeout,
    terminal,
  });
  const stopped = await runUntilStopped(
    published,
    () => terminal.print(`published at ${printableText(published.address)}`),
  );
  if (stopped) return EXIT.ok;
  terminal.error(
    `Cannot continue: the tunnel was closed at ${redactedAddress(address)}`,
  );
  return EXIT.connection;
}

/** The token that both ends share, if the program may read the environment. */
function token(): string | undefined {
  const variable = "QTALK_TUNNEL_TOKEN";
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) || undefined : undefined;
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
