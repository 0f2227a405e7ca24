import { dial, handlerFrom, listen } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import { cli, startCli } from "../../../tests/support/cli.ts";

const LISTENING = /^listening on (\S+)$/;

Deno.test("qtalk rendezvous: peers with keys of qtalk cert meet at it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const pins: Record<string, string> = {};
    for (const name of ["meet", "ann", "bob"]) {
      const out = `${folder}/${name}`;
      const { code, stdout } = await cli([
        ...["cert", "peer", "--out", out, "--name", name],
      ]);
      assertEquals(code, 0);
      pins[name] = /^fingerprint: (\S+)$/m.exec(stdout)![1]!;
    }
    const of = (name: string) => ({
      cert: `${folder}/${name}/peer.pem`,
      key: `${folder}/${name}/peer.key`,
    });
    const { cert, key } = of("meet");
    await using server = startCli(
      ["rendezvous", "quic://127.0.0.1:0", "--cert", cert, "--key", key],
      { permissions: ["-A", "--unstable-net"] },
    );
    const address = LISTENING.exec(await server.line(LISTENING))![1]!;
    const rendezvous = { tls: { pin: pins.meet } };
    await using listener = await listen(`peer:bob@${address}`, {
      tls: of("bob"),
      rendezvous,
      handler: handlerFrom({ add: (a: number, b: number) => a + b }),
    });
    assert(listener.addr.endsWith(`#${pins.bob}`), listener.addr);
    await using peer = await dial(listener.addr, {
      tls: of("ann"),
      rendezvous,
    });
    assertEquals(await peer.call("add", [1, 2]), 3);
    assertEquals(peer.way, "direct");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("qtalk rendezvous: arguments that are not valid exit with 2", async () => {
  for (
    const [why, ...words] of [
      ["expected an address"],
      ["expected an address", "tcp://127.0.0.1:0", "b"],
      ["not a whole number above 0", "tcp://127.0.0.1:0", "--max-names=0"],
      ["without --cert and --key", "quic://127.0.0.1:0"],
    ] as const
  ) {
    const { code, stdout, stderr } = await cli(["rendezvous", ...words]);
    assertEquals([code, stdout], [2, ""], stderr);
    assert(stderr.includes(why), stderr);
  }
});
