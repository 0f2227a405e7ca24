/**
 * Two hosts behind routers, and a rendezvous between them, as network namespaces of
 * Linux:
 *
 *     host a — router(s) a ┐
 *                          ├ switch — rendezvous
 *     host b — router(s) b ┘
 *
 * @module
 */

/** How the routers map the addresses of their hosts. */
export type Mapping =
  | "none"
  | "masquerade"
  | "masquerade random"
  | "masquerade fully-random";

/** The sides, each with a host behind routers. */
export type Side = "a" | "b";

/** What the routers do. */
export interface RouterOptions {
  /** How the routers of each side map addresses, from its host outwards. */
  mappings: Readonly<Record<Side, readonly Mapping[]>>;
  /** Whether they drop what nothing in their network has asked for. */
  firewall: boolean;
  /** A protocol of which they let nothing pass. Default: all pass. */
  blocked?: "udp" | "tcp" | undefined;
  /** The kind of all addresses. Default: `"ip"`, which is IPv4. */
  family?: "ip" | "ip6" | undefined;
}

/** The addresses of the network in the middle, the rendezvous being number 1. */
const MIDDLE = { ip: "198.51.100.", ip6: "2001:db8::" };
/** The bits of an address that are those of its network. */
const BITS = { ip: 24, ip6: 64 };

/** The address of the rendezvous, as it is part of an address with a port. */
export const RENDEZVOUS = {
  ip: `${MIDDLE.ip}1`,
  ip6: `[${MIDDLE.ip6}1]`,
};

/** The machines. */
export type Machine = "rv" | "ha" | "hb";

/** Why there can be none here; undefined if there can. */
export function missing(): string | undefined {
  if (Deno.build.os !== "linux") return "this is not Linux";
  const name = `qt-probe-${Deno.pid}`;
  try {
    const made = attempt(["ip", "netns", "add", name]);
    if (made !== undefined) return made;
    const nft = attempt(["ip", "netns", "exec", name, "nft", "list", "tables"]);
    attempt(["ip", "netns", "delete", name]);
    return nft;
  } catch {
    return "there is no ip command";
  }
}

/** The networks. */
export class Topology implements Disposable {
  readonly #id = `qn${crypto.randomUUID().slice(0, 6)}`;
  /** The machines that were made. */
  readonly #names: string[] = [];

  /** Makes them. */
  constructor(options: RouterOptions) {
    try {
      this.#make(options);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #make(options: RouterOptions): void {
    const { family = "ip" } = options;
    const sides = (["a", "b"] as const).map((side) => ({
      host: `h${side}`,
      routers: options.mappings[side].map((_, i) => `r${side}${i}`),
      mappings: options.mappings[side],
    }));
    const all = sides.flatMap(({ host, routers }) => [host, ...routers]);
    for (const name of ["net", "rv", ...all]) {
      run(["ip", "netns", "add", this.#ns(name)]);
      this.#names.push(name);
      this.#in(name, "ip link set lo up");
    }
    this.#in("net", "ip link add hub type bridge");
    this.#in("net", "ip link set hub up");
    const outermost = sides.map(({ routers }) => routers.at(-1)!);
    for (const [i, name] of ["rv", ...outermost].entries()) {
      this.#cable(name, "wan", "net", name);
      this.#in("net", `ip link set ${name} master hub`);
      this.#address(family, name, "wan", `${MIDDLE[family]}${i + 1}`);
    }
    for (const [i, { host, routers, mappings }] of sides.entries()) {
      for (const [j, router] of routers.entries()) {
        const inner = routers[j - 1] ?? host;
        const net = networkOf(family, 10 * i + j);
        this.#cable(inner, j === 0 ? "eth" : "wan", router, "lan");
        this.#address(family, inner, j === 0 ? "eth" : "wan", `${net}2`);
        this.#address(family, router, "lan", `${net}1`);
        this.#in(inner, `ip route add default via ${net}1`);
        const forwarding = family === "ip"
          ? "net.ipv4.ip_forward"
          : "net.ipv6.conf.all.forwarding";
        this.#in(router, `sysctl -q -w ${forwarding}=1`);
        this.#rules(router, mappings[j]!, options);
        // Without mappings, the hosts have addresses that all others can reach.
        if (mappings.some((mapping) => mapping !== "none")) continue;
        for (const other of ["rv", outermost[1 - i]!]) {
          const to = `${net}/${BITS[family]}`.replace(".0./", ".0.0/");
          const via = `${MIDDLE[family]}${i + 2}`;
          this.#in(other, `ip route add ${to} via ${via}`);
        }
      }
    }
  }

  /** What makes a command run on a machine. */
  command(machine: Machine): string[] {
    return this.#enter(machine);
  }

  /** Bytes that the network of the rendezvous has carried, in both directions. */
  rendezvousBytes(): number {
    const read = (name: string) =>
      Number(
        this.#in("rv", `cat /sys/class/net/wan/statistics/${name}_bytes`),
      );
    return read("rx") + read("tx");
  }

  [Symbol.dispose](): void {
    for (const name of this.#names) {
      attempt(["ip", "netns", "delete", this.#ns(name)]);
    }
  }

  #ns(name: string): string {
    return `${this.#id}-${name}`;
  }

  #in(name: string, command: string): string {
    return run([...this.#enter(name), ...command.split(" ")]);
  }

  /** Gives an address, which can be used at once. */
  #address(
    family: "ip" | "ip6",
    name: string,
    end: string,
    address: string,
  ): void {
    const atOnce = family === "ip6" ? " nodad" : "";
    const whole = `${address}/${BITS[family]}`;
    this.#in(name, `ip address add ${whole} dev ${end}${atOnce}`);
  }

  #cable(one: string, oneEnd: string, other: string, otherEnd: string): void {
    run(
      `ip link add ${oneEnd} netns ${
        this.#ns(one)
      } type veth peer name ${otherEnd} netns ${this.#ns(other)}`.split(" "),
    );
    this.#in(one, `ip link set ${oneEnd} up`);
    this.#in(other, `ip link set ${otherEnd} up`);
  }

  #rules(router: string, mapping: Mapping, options: RouterOptions): void {
    const { firewall, blocked, family = "ip" } = options;
    const rules: string[] = [];
    if (blocked !== undefined) {
      rules.push(
        `table ${family} blocking { chain passing { type filter hook forward priority 1;`,
        `meta l4proto ${blocked} drop; }`,
        "}",
      );
    }
    if (mapping !== "none") {
      rules.push(
        `table ${family} mapping { chain leaving { type nat hook postrouting priority 100;`,
        `oifname "wan" ${mapping}; }`,
        "}",
      );
    }
    if (firewall) {
      rules.push(`table ${family} filter {`);
      for (const hook of ["input", "forward"]) {
        rules.push(
          `chain on_${hook} { type filter hook ${hook} priority 0;`,
          'iifname "wan" ct state new drop; }',
        );
      }
      rules.push("}");
    }
    if (rules.length === 0) return;
    run([...this.#enter(router), "nft", rules.join("\n")]);
  }

  #enter(name: string): string[] {
    return ["ip", "netns", "exec", this.#ns(name)];
  }
}

/** The beginning of the addresses of a network behind a router. */
function networkOf(family: "ip" | "ip6", number: number): string {
  return family === "ip" ? `10.${number}.0.` : `2001:db8:${number + 1}::`;
}

function run(command: string[]): string {
  const [program, ...args] = command;
  const { success, stdout, stderr } = new Deno.Command(program!, { args })
    .outputSync();
  if (success) return new TextDecoder().decode(stdout).trim();
  const why = new TextDecoder().decode(stderr).trim();
  throw new Error(`${command.join(" ")}: ${why}`);
}

/** What a command fails with; undefined if it does not. */
function attempt(command: string[]): string | undefined {
  try {
    run(command);
    return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw error;
    return (error as Error).message;
  }
}
