/** A network of its own, joined to this one by a cable that can be pulled. */
export class Namespace implements AsyncDisposable {
  readonly #name: string;
  /** The address in it. */
  readonly farAddress: string;

  private constructor(name: string, farAddress: string) {
    this.#name = name;
    this.farAddress = farAddress;
  }

  /** Why there can be none here; undefined if there can. */
  static missing(): string | undefined {
    if (Deno.build.os !== "linux") return "this is not Linux";
    const name = `qt-probe-${Deno.pid}`;
    try {
      const made = ip("netns", "add", name);
      if (made === undefined) ip("netns", "delete", name);
      return made;
    } catch {
      return "there is no ip command";
    }
  }

  /** Makes a network, with a server's address in it. */
  // deno-lint-ignore require-await
  static async make(): Promise<Namespace> {
    const [high, low] = crypto.getRandomValues(new Uint8Array(2));
    const name = `qt${high}-${low}`;
    const net = `10.${high}.${low}`;
    run("netns", "add", name);
    run(
      "link",
      "add",
      name,
      "type",
      "veth",
      "peer",
      "name",
      "far",
      "netns",
      name,
    );
    run("address", "add", `${net}.1/30`, "dev", name);
    run("link", "set", name, "up");
    run("-n", name, "address", "add", `${net}.2/30`, "dev", "far");
    run("-n", name, "link", "set", "far", "up");
    run("-n", name, "link", "set", "lo", "up");
    return new Namespace(name, `${net}.2`);
  }

  /** What makes a command run in it. */
  get command(): string[] {
    return ["ip", "netns", "exec", this.#name];
  }

  /** Pulls the cable: at the far end, so that this one does not see it. */
  cut(): void {
    run("-n", this.#name, "link", "set", "far", "down");
  }

  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    ip("link", "delete", this.#name);
    ip("netns", "delete", this.#name);
  }
}

function run(...args: string[]): void {
  const failure = ip(...args);
  if (failure !== undefined) {
    throw new Error(`ip ${args.join(" ")}: ${failure}`);
  }
}

/** What a command of `ip` fails with; undefined if it does not. */
function ip(...args: string[]): string | undefined {
  const { success, stderr } = new Deno.Command("ip", { args }).outputSync();
  return success ? undefined : new TextDecoder().decode(stderr).trim();
}
