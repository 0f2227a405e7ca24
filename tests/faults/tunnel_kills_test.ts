// A tunnel whose halves, and the proxy between them, are killed again and again: each
// is a process of its own, which ends by SIGKILL and is started again.

import { assert, assertEquals } from "@std/assert";
import { type RunningCli, startCli } from "../support/cli.ts";
import { isServed, SteadyClient } from "../support/echo_clients.ts";
import { forSeeds, type Random } from "../support/random.ts";

/** How many processes are killed. */
const KILLS = 20;
/** The longest delay between attempts of the publisher to connect, in seconds. */
const MAX_DELAY = 0.25;

const ENV = { QTALK_TUNNEL_TOKEN: "a token of some length" };
const PARTS = ["server", "proxy", "publisher"] as const;
type Part = typeof PARTS[number];

/** A target that sends back what it gets. */
function echoServer() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of listener) {
      conn.readable.pipeTo(conn.writable).catch(() => {});
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

/** A port that outgoing connections do not get while nothing listens there. */
function freePort(random: Random): number {
  for (;;) {
    const port = random.int(10_000, 19_999);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch {
      // It is taken.
    }
  }
}

/** The processes of a tunnel. */
class Tunnel implements AsyncDisposable {
  readonly #commands: Record<Part, string[]>;
  readonly #running = new Map<Part, RunningCli>();

  constructor(random: Random, target: number) {
    const server = `tcp://127.0.0.1:${freePort(random)}`;
    const proxy = `tcp://127.0.0.1:${freePort(random)}`;
    this.#commands = {
      server: ["tunnel", "listen", server, "--lease=60"],
      proxy: ["proxy", proxy, server],
      publisher: [
        "tunnel",
        "publish",
        String(target),
        proxy,
        `--name=kills-${random.seed}`,
        `--max-delay=${MAX_DELAY}`,
      ],
    };
  }

  start(part: Part): void {
    this.#running.set(part, startCli(this.#commands[part], { env: ENV }));
  }

  /** Waits until the server or the proxy listens. */
  async listening(part: "server" | "proxy"): Promise<void> {
    await this.#running.get(part)!.line(/^listening on /);
  }

  /** The port that the publisher that runs was given first. */
  async port(): Promise<number> {
    const pattern = /^published at tcp:\/\/127\.0\.0\.1:(\d+)$/;
    const line = await this.#running.get("publisher")!.line(pattern);
    return Number(pattern.exec(line)![1]);
  }

  /** Waits for a line that a part prints to standard error. */
  async says(part: Part, pattern: RegExp): Promise<void> {
    await this.#running.get(part)!.errorLine(pattern);
  }

  async kill(part: Part): Promise<void> {
    const running = this.#running.get(part)!;
    this.#running.delete(part);
    await running.end("SIGKILL");
  }

  async [Symbol.asyncDispose]() {
    for (const part of [...this.#running.keys()]) await this.kill(part);
  }
}

Deno.test(`qtalk tunnel: through ${KILLS} kills it keeps its port and serves every new connection`, async () => {
  await forSeeds(1, async (random) => {
    await using target = echoServer();
    await using tunnel = new Tunnel(random, target.port);
    tunnel.start("server");
    await tunnel.listening("server");
    tunnel.start("proxy");
    await tunnel.listening("proxy");
    tunnel.start("publisher");
    const port = await tunnel.port();
    assert(await isServed(port, "hello"));
    await using client = new SteadyClient();
    client.start(port);

    const kill = async (...victims: Part[]) => {
      for (const part of victims) await tunnel.kill(part);
      // As long as the server is there, a connection is not refused but waits.
      const waiting = victims.includes("server")
        ? []
        : [1, 2, 3].map((i) => isServed(port, `${i}, without ${victims}`));
      for (const part of victims) {
        tunnel.start(part);
        if (part !== "publisher") await tunnel.listening(part);
      }
      assertEquals(await Promise.all(waiting), waiting.map(() => true));
      // Once the server says so, every connection is served.
      await tunnel.says("server", /^(?:published|published again|replaced): /);
      assert(await isServed(port, `after ${victims}`), `after ${victims}`);
      await client.servedAgain();
      if (victims.includes("publisher")) {
        assertEquals(await tunnel.port(), port, `after the kill of ${victims}`);
      }
    };

    // Both sides say what happens.
    await tunnel.says("server", /^published: .*:\d+ \(kills-\d+\): by tcp:/);
    await kill("publisher");
    await kill("proxy");
    await tunnel.says("publisher", /^error: connection to tcp:.* lost: /);
    await tunnel.says("publisher", /^published again at /);
    await kill("server");
    await tunnel.says("publisher", /^error: connection to tcp:.* lost: /);
    await tunnel.says("publisher", /^published again at /);
    for (let kills = 3; kills < KILLS;) {
      const first = random.pick(PARTS);
      // Sometimes another part is killed before the tunnel is there again.
      const second = random.chance(0.3) ? random.pick(PARTS) : first;
      const victims = new Set([first, second]);
      kills += victims.size;
      await kill(...victims);
    }
    // A start of a process or two, and the delay of the publisher.
    assert(client.longest < 10_000, `an outage of ${client.longest} ms`);
  });
});
