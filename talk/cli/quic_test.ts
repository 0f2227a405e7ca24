// The command line over quic:, as people use it.
import { assert, assertEquals } from "@std/assert";
import { cli, type RunningCli, startCli } from "../../tests/support/cli.ts";
import { loopbackCertificate } from "../../tests/support/quic.ts";

const LOCAL = "quic://127.0.0.1:0";
const LISTENING = /^listening on (\S+)$/;

/** A service, and the files of its certificate and of the authority. */
interface Files {
  service: string;
  cert: string;
  key: string;
  ca: string;
}

/** Writes the files to a temporary folder. */
async function withFiles(use: (files: Files) => Promise<void>): Promise<void> {
  const { cert, key, authority } = await loopbackCertificate();
  const folder = await Deno.makeTempDir();
  const files: Files = {
    service: `${folder}/service.ts`,
    cert: `${folder}/cert.pem`,
    key: `${folder}/key.pem`,
    ca: `${folder}/ca.pem`,
  };
  await Deno.writeTextFile(
    files.service,
    `export default {
      Upper: (s: string) => s.toUpperCase(),
      async *count(to: number) {
        for (let n = 1; n <= to; n++) yield n;
      },
    };`,
  );
  await Deno.writeTextFile(files.cert, cert);
  await Deno.writeTextFile(files.key, key);
  await Deno.writeTextFile(files.ca, authority.cert);
  try {
    await use(files);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function addressOf(running: RunningCli): Promise<string> {
  return LISTENING.exec(await running.line(LISTENING))![1]!;
}

function serve({ service, cert, key }: Files): RunningCli {
  return startCli(
    ["serve", service, "--address", LOCAL, "--cert", cert, "--key", key],
  );
}

async function printed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(args);
  assertEquals([code, stderr], [0, ""], args.join(" "));
  return stdout;
}

Deno.test("qtalk: serve, call, describe, types and ping work over quic:", () =>
  withFiles(async (files) => {
    const { ca } = files;
    await using server = serve(files);
    const address = await addressOf(server);
    assertEquals(
      await printed("call", `${address}/Upper`, "hello", "--ca", ca),
      '"HELLO"\n',
    );
    assertEquals(
      await printed("call", address, "count", "2", "--ca", ca),
      "1\n2\n",
    );
    const described = await printed("describe", address, "--ca", ca);
    assert(described.includes("Upper("), described);
    const types = await printed("types", address, "--ca", ca);
    assert(types.includes("count("), types);
    const pinged = await printed(
      ...["ping", address, "--ca", ca, "--count", "1"],
    );
    assert(pinged.includes("1 sent, 1 answered"), pinged);
    const { code, stderr } = await server.end("SIGTERM");
    assertEquals([code, stderr], [0, ""]);
  }));

Deno.test("qtalk proxy: it proxies from tcp: to quic:, and back", () =>
  withFiles(async (files) => {
    const { cert, key, ca } = files;
    await using server = serve(files);
    const address = await addressOf(server);
    await using there = startCli(
      ["proxy", "tcp://127.0.0.1:0", address, "--ca", ca],
    );
    const tcp = await addressOf(there);
    await using back = startCli(
      ["proxy", LOCAL, tcp, "--cert", cert, "--key", key],
    );
    const quic = await addressOf(back);
    assertEquals(await printed("call", `${tcp}/Upper`, "a"), '"A"\n');
    assertEquals(
      await printed("call", `${quic}/Upper`, "b", "--ca", ca),
      '"B"\n',
    );
  }));

Deno.test("qtalk check: a quic: address is one, and no command", () =>
  withFiles(async ({ cert, key, ca }) => {
    await using server = startCli(
      ["interop", LOCAL, "--cert", cert, "--key", key],
    );
    const address = await addressOf(server);
    const output = await printed("check", address, "--ca", ca);
    assert(/ok/.test(output), output);
  }));

Deno.test("qtalk: without --unstable-net, quic: is an error that names the flag", () =>
  withFiles(async ({ ca, service, cert, key }) => {
    const permissions = ["-A", "--no-config"];
    for (
      const args of [
        ["call", "quic://127.0.0.1:1/x", "--ca", ca],
        ["serve", service, "--address", LOCAL, "--cert", cert, "--key", key],
      ]
    ) {
      const { code, stderr } = await cli(args, { permissions });
      assertEquals(code, 3, stderr);
      assert(stderr.includes("--unstable-net"), stderr);
    }
  }));

Deno.test("qtalk: what quic: cannot do is a usage error", () =>
  withFiles(async ({ service, cert, key, ca }) => {
    const listening = ["--cert", cert, "--key", key];
    const at = ["serve", service, "--address", LOCAL, ...listening];
    for (
      const [args, message] of [
        [
          ["call", "quic://127.0.0.1:1/x", ...listening],
          'Cannot use --cert for "quic://127.0.0.1:1"',
        ],
        [[...at, "--ca", ca], 'Cannot use --ca for "quic://127.0.0.1:0"'],
        [
          [...at, "--client-cert", "required"],
          "because Deno cannot ask clients of QUIC for certificates",
        ],
        [
          ["inspect", "tcp://127.0.0.1:0", "quic://127.0.0.1:1"],
          'Cannot inspect "quic://127.0.0.1:1"',
        ],
        [
          ["inspect", LOCAL, "tcp://127.0.0.1:1", ...listening],
          'Cannot inspect "quic://127.0.0.1:0"',
        ],
      ] as const
    ) {
      const { code, stderr } = await cli(args);
      assertEquals(code, 2, stderr);
      assert(stderr.includes(message), stderr);
    }
  }));
