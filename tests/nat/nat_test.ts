/**
 * The example in three commands, on two hosts behind routers: see topology.ts.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { within } from "../support/within.ts";
import {
  type Machine,
  type Mapping,
  missing,
  RENDEZVOUS,
  type RouterOptions,
  Topology,
} from "./topology.ts";

const ROOT = new URL("../../", import.meta.url);
const CLI = "talk/cli/main.ts";
const PATIENCE = 60_000;
const why = missing();

/** All addresses of a machine. */
const ANY = { ip: "0.0.0.0", ip6: "[::]" };

/** Routers of both sides that do the same. */
function both(...mappings: Mapping[]): RouterOptions["mappings"] {
  return { a: mappings, b: mappings };
}

/** Runs this Deno; returns what it prints. */
async function output(command: string[]): Promise<string> {
  const [program, ...args] = command;
  const { success, stdout, stderr } = await new Deno.Command(program!, {
    args,
    cwd: ROOT,
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert(success, `${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

/** A command that stays, once it has printed its lines. */
class Running implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  #text = "";
  readonly #reader: ReadableStreamDefaultReader<string>;

  constructor(command: string[]) {
    const [program, ...args] = command;
    this.#child = new Deno.Command(program!, {
      args,
      cwd: ROOT,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /** The first lines of its output. */
  async lines(count: number): Promise<string[]> {
    while (this.#text.split("\n").length <= count) {
      const { value, done } = await this.#reader.read();
      assert(!done, `it ended after "${this.#text}"`);
      this.#text += value;
    }
    return this.#text.split("\n").slice(0, count);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#reader.cancel();
    await this.#child.status;
  }
}

// The keys of both hosts and the rendezvous, for all tests.
let keys: string;
Deno.test.beforeAll(async () => {
  if (why !== undefined) return;
  keys = await Deno.makeTempDir();
  for (const name of ["meet", "bob", "ann"]) {
    const out = `${keys}/${name}`;
    const args = ["cert", "peer", "--out", out, "--name", name];
    await output([Deno.execPath(), "run", "-A", CLI, ...args]);
  }
});
Deno.test.afterAll(async () => {
  if (why === undefined) await Deno.remove(keys, { recursive: true });
});

/** Two hosts, and the rendezvous. */
async function withPeers(
  { scheme = "quic", ...options }: RouterOptions & { scheme?: "quic" | "tls" },
  body: (dial: () => Promise<string>, topology: Topology) => Promise<void>,
): Promise<void> {
  const { family = "ip" } = options;
  using topology = new Topology(options);
  const command = (machine: Machine, name: string, ...args: string[]) => [
    ...topology.command(machine),
    Deno.execPath(),
    "run",
    "-A",
    "--unstable-net",
    `examples/rendezvous/${name}.ts`,
    ...args,
  ];
  await using rendezvous = new Running(
    command(
      "rv",
      "rendezvous",
      `${scheme}://${ANY[family]}:4433`,
      `${keys}/meet`,
    ),
  );
  const [, pin] = await rendezvous.lines(2);
  const place = `${scheme}://${RENDEZVOUS[family]}:4433`;
  await using listener = new Running(
    command("hb", "listener", place, pin!, `${keys}/bob`),
  );
  const [address] = await listener.lines(1);
  const dial = () =>
    output(command("ha", "dialer", address!, pin!, `${keys}/ann`));
  await within(body(dial, topology), "the peers", PATIENCE);
}

/** What the routers do, and how the peers meet. */
const CASES: readonly [
  string,
  Pick<RouterOptions, "mappings" | "family">,
  "direct" | "relayed",
][] = [
  ['"none"', { mappings: both("none") }, "direct"],
  ['"masquerade"', { mappings: both("masquerade") }, "direct"],
  ['"masquerade random"', { mappings: both("masquerade random") }, "relayed"],
  [
    '"masquerade fully-random"',
    { mappings: both("masquerade fully-random") },
    "relayed",
  ],
  [
    "a mapping each, one of them random",
    { mappings: { a: ["masquerade"], b: ["masquerade random"] } },
    "relayed",
  ],
  [
    "a mapping on one side only",
    { mappings: { a: ["masquerade random"], b: ["none"] } },
    "relayed",
  ],
  [
    "two mappings in a row on each side",
    { mappings: both("masquerade", "masquerade") },
    "direct",
  ],
  [
    "IPv6 addresses",
    { mappings: both("none"), family: "ip6" },
    "direct",
  ],
];

for (const [what, routers, way] of CASES) {
  Deno.test({
    name: `nat: behind routers with ${what}, two peers meet (${way})`,
    ignore: why !== undefined,
    fn: () =>
      withPeers({ ...routers, firewall: true }, async (dial, topology) => {
        const before = topology.rendezvousBytes();
        const printed = await dial();
        assertMatch(printed, /^connected in \d+ ms, (?:direct|relayed)\n/);
        const [first, second] = printed.split("\n");
        assertEquals(first!.split(", ")[1], way);
        assertEquals(second, "1 + 2 = 3");
        assertEquals(topology.rendezvousBytes() > before, true);
      }),
  });
}

const BLOCKED = [
  ["udp", "tls", "relayed"],
  ["tcp", "quic", "direct"],
] as const;

for (const [blocked, scheme, way] of BLOCKED) {
  Deno.test({
    name:
      `nat: behind routers that let no ${blocked} pass, two peers meet at a rendezvous over ${scheme} (${way})`,
    ignore: why !== undefined,
    fn: () =>
      withPeers(
        { mappings: both("masquerade"), firewall: true, blocked, scheme },
        async (dial) => {
          const printed = await dial();
          assertMatch(printed, new RegExp(`^connected in \\d+ ms, ${way}\n`));
          assertEquals(printed.split("\n")[1], "1 + 2 = 3");
        },
      ),
  });
}

Deno.test({
  name: "nat: the bytes of a direct connection do not pass the rendezvous",
  ignore: why !== undefined,
  fn: async () => {
    const passed: number[] = [];
    for (const mapping of ["masquerade", "masquerade random"] as const) {
      const mappings = both(mapping);
      await withPeers({ mappings, firewall: true }, async (dial, topology) => {
        const before = topology.rendezvousBytes();
        const printed = await dial();
        assertMatch(printed, /1000000 bytes came back/);
        passed.push(topology.rendezvousBytes() - before);
      });
    }
    const [direct, relayed] = passed as [number, number];
    // Meeting takes packets of its own.
    assert(direct < 100_000, `${direct} bytes of a direct connection`);
    assert(relayed > 3_900_000, `${relayed} bytes of a relayed one`);
  },
});
