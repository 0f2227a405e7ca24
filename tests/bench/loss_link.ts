/**
 * A link between two network namespaces of Linux that delays and loses packets, as
 * netem does, which not every kernel has. Both ends of it are TUN devices of this
 * process, which passes the packets on: those that the kernel sends and receives, for
 * TCP and for UDP alike.
 *
 * It needs root, `ip`, and `/dev/net/tun`.
 *
 * @module
 */

/** How a link treats packets. */
export interface LinkOptions {
  /** Milliseconds that each packet takes. */
  readonly delay: number;
  /** The share of them that is lost. */
  readonly loss: number;
}

/** `TUNSETIFF` of linux/if_tun.h, and its flags: packets of IP, and nothing before them. */
const TUNSETIFF = 0x400454can, IFF_TUN_NO_PI = 0x1001;
const O_RDWR = 2;
/** More than a packet has. */
const PACKET = 2_048;

const LIBC = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  read: {
    parameters: ["i32", "buffer", "usize"],
    result: "isize",
    nonblocking: true,
  },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
} as const;

/** Two namespaces with a link between them. */
export class LossyLink implements Disposable {
  readonly #libc = Deno.dlopen("libc.so.6", LIBC).symbols;
  readonly #id = `ql${crypto.randomUUID().slice(0, 6)}`;
  readonly #options: LinkOptions;
  /** Packets that were passed on, and those that were lost. */
  passed = 0;
  lost = 0;

  /** Makes them. */
  constructor(options: LinkOptions) {
    this.#options = options;
    try {
      const near = this.#end("near");
      const far = this.#end("far");
      void this.#pass(near, far);
      void this.#pass(far, near);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The address of an end. */
  static addressOf(end: "near" | "far"): string {
    return end === "near" ? "10.77.0.1" : "10.77.0.2";
  }

  /** The command line of a program that runs at an end. */
  at(end: "near" | "far", command: readonly string[]): [string, ...string[]] {
    return ["ip", "netns", "exec", this.#nameOf(end), ...command];
  }

  [Symbol.dispose](): void {
    // The devices go with this process.
    for (const end of ["near", "far"] as const) {
      new Deno.Command("ip", {
        args: ["netns", "delete", this.#nameOf(end)],
        stderr: "null",
      }).outputSync();
    }
  }

  #nameOf(end: "near" | "far"): string {
    return `${this.#id}-${end}`;
  }

  /** Makes an end; returns the file of its device. */
  #end(end: "near" | "far"): number {
    const name = this.#nameOf(end);
    run("ip", "netns", "add", name);
    const device = `${this.#id}${end[0]}`;
    const file = this.#libc.open(text("/dev/net/tun"), O_RDWR);
    const request = new Uint8Array(40);
    request.set(text(device));
    new DataView(request.buffer).setUint16(16, IFF_TUN_NO_PI, true);
    if (file < 0 || this.#libc.ioctl(file, TUNSETIFF, request) < 0) {
      throw new Error("Cannot make a TUN device: this needs root");
    }
    run("ip", "link", "set", device, "netns", name);
    const own = LossyLink.addressOf(end);
    const other = LossyLink.addressOf(end === "near" ? "far" : "near");
    run("ip", "-n", name, "address", "add", own, "peer", other, "dev", device);
    run("ip", "-n", name, "link", "set", device, "up");
    return file;
  }

  async #pass(from: number, to: number): Promise<void> {
    const { delay, loss } = this.#options;
    for (;;) {
      const packet = new Uint8Array(PACKET);
      const size = Number(await this.#libc.read(from, packet, BigInt(PACKET)));
      if (size <= 0) return;
      if (Math.random() < loss) {
        this.lost++;
        continue;
      }
      this.passed++;
      setTimeout(
        () => void this.#libc.write(to, packet, BigInt(size)),
        delay,
      );
    }
  }
}

/** Text for C. */
function text(it: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${it}\0`);
}

function run(program: string, ...args: string[]): void {
  const { success, stderr } = new Deno.Command(program, { args }).outputSync();
  if (success) return;
  const words = [program, ...args].join(" ");
  throw new Error(`Cannot run "${words}": ${new TextDecoder().decode(stderr)}`);
}
