/**
 * Two hosts behind two routers, and a rendezvous between them, as network
 * namespaces of Linux:
 *
 *     host a — router a ┐
 *                       ├ switch — rendezvous
 *     host b — router b ┘
 *
 * @module
 */

/** How the routers map the addresses of their hosts. */
export type Mapping =
  | "none"
  | "masquerade"
  | "masquerade random"
  | "masquerade fully-random";

/** What the routers do. */
export interface RouterOptions {
  /** How they map addresses. */
  mapping: Mapping;
  /** Whether they drop what nothing in their network has asked for. */
  firewall: boolean;
  /** A protocol of which they let nothing pass. Default: all pass. */
  blocked?: "udp" | "tcp" | undefined;
}

/** The address of the rendezvous. */
export const RENDEZVOUS = "198.51.100.1";

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

  /** Makes them. */
  constructor(options: RouterOptions) {
    try {
      this.#make(options);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #make({ mapping, firewall, blocked }: RouterOptions): void {
    for (const name of ["net", "rv", "ra", "rb", "ha", "hb"]) {
      run(["ip", "netns", "add", this.#ns(name)]);
      this.#in(name, "ip link set lo up");
    }
    this.#in("net", "ip link add hub type bridge");
    this.#in("net", "ip link set hub up");
    for (const [index, name] of ["rv", "ra", "rb"].entries()) {
      this.#cable(name, "wan", "net", name);
      this.#in("net", `ip link set ${name} master hub`);
      this.#in(name, `ip address add 198.51.100.${index + 1}/24 dev wan`);
    }
    for (const [index, side] of ["a", "b"].entries()) {
      const net = `10.${index + 1}.0`;
      this.#cable(`h${side}`, "eth", `r${side}`, "lan");
      this.#in(`h${side}`, `ip address add ${net}.2/24 dev eth`);
      this.#in(`h${side}`, `ip route add default via ${net}.1`);
      this.#in(`r${side}`, `ip address add ${net}.1/24 dev lan`);
      this.#in(`r${side}`, "sysctl -q -w net.ipv4.ip_forward=1");
      const router = `198.51.100.${index + 2}`;
      if (mapping === "none") {
        for (const other of ["rv", side === "a" ? "rb" : "ra"]) {
          this.#in(other, `ip route add ${net}.0/24 via ${router}`);
        }
      }
      this.#rules(`r${side}`, { mapping, firewall, blocked });
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
    for (const name of ["ha", "hb", "ra", "rb", "rv", "net"]) {
      attempt(["ip", "netns", "delete", this.#ns(name)]);
    }
  }

  #ns(name: string): string {
    return `${this.#id}-${name}`;
  }

  #in(name: string, command: string): string {
    return run([...this.#enter(name), ...command.split(" ")]);
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

  #rules(router: string, options: RouterOptions): void {
    const { mapping, firewall, blocked } = options;
    const rules: string[] = [];
    if (blocked !== undefined) {
      rules.push(
        "table ip blocking { chain passing { type filter hook forward priority 1;",
        `meta l4proto ${blocked} drop; }`,
        "}",
      );
    }
    if (mapping !== "none") {
      rules.push(
        "table ip mapping { chain leaving { type nat hook postrouting priority 100;",
        `oifname "wan" ${mapping}; }`,
        "}",
      );
    }
    if (firewall) {
      rules.push("table ip filter {");
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
