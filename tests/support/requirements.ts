/**
 * What tests of this project need and not every machine has. The probes are not
 * those of the tests: a mistake in one of them shows.
 *
 * @module
 */
import type { Requirements } from "./skipped.ts";

/** All of it. */
export const REQUIREMENTS: Requirements = {
  go: {
    name: "Go and the module qtalk-go",
    tests: /^\.\/tests\/interop\/(?:go|state|command_line)_test\.ts /,
    missing: () =>
      failureOf("go", ["mod", "download"], new URL("../interop/go/", HERE)),
  },
  quicGo: {
    name: "Go and the module quic-go",
    tests: /^\.\/tests\/interop\/quic_test\.ts => .*quic-go/,
    missing: () =>
      failureOf(
        "go",
        ["mod", "download"],
        new URL("../interop/go_quic/", HERE),
      ),
  },
  python: {
    name: "Python 3.9 or later",
    tests: /^\.\/tests\/interop\/python_test\.ts /,
    missing: async () => {
      if (Deno.build.os === "windows") return "this is Windows";
      const old = "python3 is older than 3.9";
      const script =
        `import sys\nif sys.version_info < (3, 9): sys.exit("${old}")`;
      return await failureOf("python3", ["-c", script]);
    },
  },
  npmAndChromium: {
    name: "bundlers from npm, and Chromium and chromedriver",
    tests: /^\.\/tests\/npm\/npm_test\.ts => .* in Chromium$/,
    missing: async () => await npmMissing() ?? await chromiumMissing(),
  },
  chromium: {
    name: "Chromium and chromedriver",
    tests: /^\.\/tests\/(?:browser\/browser|deploy_page)_test\.ts /,
    missing: () => chromiumMissing(),
  },
  redis: {
    name: "redis-server",
    tests:
      /^\.\/tests\/examples_test\.ts => .*examples\/(?:database\/|many_machines\/redis)/,
    missing: () => failureOfAll("redis-server"),
  },
  baseBinary: {
    name: "the base binary of deno compile, which Deno downloads",
    tests: /^\.\/tests\/compile_test\.ts /,
    missing: async () => {
      const folder = await Deno.makeTempDir({ prefix: "qtalk_compile_" });
      try {
        await Deno.writeTextFile(`${folder}/empty.ts`, "");
        const args = ["compile", "--no-check", "empty.ts"];
        const failure = await failureOf(Deno.execPath(), args, folder);
        return failure && "deno compile fails with an empty program, too";
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  },
  npm: {
    name: "runtimes and peers from npm",
    tests:
      /^\.\/tests\/(?:node_bun\/suites|(?:node_bun\/node_bun|npm\/npm|oldest_deno\/oldest_deno|interop\/duplex|types\/package|bench\/runtimes\/runtimes)_test)\.ts /,
    missing: () => npmMissing(),
  },
  ipv6: {
    name: "IPv6 addresses",
    tests:
      /^\.\/talk\/(?:listener\/listener_test\.ts => .*\[::1\]|dial\/ipv6_test\.ts )/,
    missing() {
      try {
        Deno.listen({ hostname: "::1", port: 0 }).close();
        return undefined;
      } catch (error) {
        return (error as Error).message;
      }
    },
  },
  linux: {
    name: "names of sockets that only Linux has",
    tests:
      /^\.\/mux\/transport\/deno\/unix_test\.ts => unix: a name without a file/,
    missing: () => Deno.build.os === "linux" ? undefined : "this is not Linux",
  },
  namespaces: {
    name: "network namespaces, made by root with ip",
    tests: /^\.\/tests\/network\/vanishing_test\.ts => .*cable/,
    missing: () => failureOf("unshare", ["--net", "ip", "link", "show", "lo"]),
  },
  nat: {
    name: "network namespaces, made by root with ip, and nft",
    tests: /^\.\/tests\/nat\/nat_test\.ts /,
    missing: async () =>
      await failureOf("unshare", ["--net", "ip", "link", "show", "lo"]) ??
        await failureOf("unshare", ["--net", "nft", "list", "tables"]),
  },
  terminal: {
    name: "script, of util-linux",
    tests: /^\.\/talk\/cli\/main_test\.ts => colour /,
    missing: () => failureOf("script", ["-qec", "true", "/dev/null"]),
  },
  unixSockets: {
    name: "Unix sockets, which Windows lacks",
    tests:
      /^\.\/(?:tests\/permissions_test\.ts => addresses: unix:|talk\/dial\/dial_test\.ts => .*Unix|talk\/listener\/(?:listen_unix_test\.ts |listener_test\.ts => listener\.close\(\): (?:the file|all peers)|deaf_client_test\.ts => .* over unix )|talk\/drain_test\.ts => draining: a listener|talk\/reconnect\/attempts_test\.ts => .*: it resolves at)/,
    missing: windows,
  },
  signals: {
    name: "signals, which on Windows only end a process",
    tests:
      /^\.\/(?:talk\/close_on_signals_test\.ts |tests\/examples_test\.ts => .*examples\/state\/demo)/,
    missing: windows,
  },
  shell: {
    name: "a POSIX shell",
    tests: /^\.\/talk\/dial\/dial_command_test\.ts /,
    missing: windows,
  },
  backlog: {
    name: "a listener that leaves connections waiting, as on Linux",
    tests:
      /^\.\/talk\/dial\/dial_test\.ts => dial\(\): (?:an attempt|the error (?:of|for) a timeout|the default timeout|a timeout|an abort)/,
    missing: () => Deno.build.os === "linux" ? undefined : "this is not Linux",
  },
  zone: {
    name: "an address with a zone",
    tests: /^\.\/talk\/dial\/dial_test\.ts => .* with a zone /,
    missing: () =>
      Deno.networkInterfaces().some(({ address }) =>
          address.startsWith("fe80:")
        )
        ? undefined
        : "this machine has none",
  },
  fileLimit: {
    name: "a limit of the files of a process (ulimit), which Windows lacks",
    tests: /^\.\/tests\/faults\/out_of_files_test\.ts /,
    missing: windows,
  },
  subject: {
    name: "what their subject cannot do",
    tests: / \(not here: .*\)$/,
    missing: () => "the name of each says why",
  },
};

const HERE = import.meta.url;

function windows(): string | undefined {
  return Deno.build.os === "windows" ? "this is Windows" : undefined;
}

function npmMissing(): Promise<string | undefined> {
  return failureOf("npm", ["view", "deno", "version"]);
}

async function chromiumMissing(): Promise<string | undefined> {
  return await failureOfAll("chromium", "chromium-browser", "google-chrome") ??
    await failureOfAll("chromedriver");
}

/** Why none of these commands can be run; undefined if one can. */
async function failureOfAll(
  ...commands: string[]
): Promise<string | undefined> {
  for (const command of commands) {
    if (await failureOf(command, ["--version"]) === undefined) return undefined;
  }
  return `there is no ${commands[0]} command`;
}

/** Why a command cannot be run, or what it fails with. */
async function failureOf(
  command: string,
  args: string[],
  cwd: string | URL = ".",
): Promise<string | undefined> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(command, { args, cwd, stdin: "null" })
      .output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return `there is no ${command} command`;
  }
  if (output.success) return undefined;
  const text = new TextDecoder().decode(output.stderr).trim();
  return text.split("\n")[0] || `${command} ended with ${output.code}`;
}
