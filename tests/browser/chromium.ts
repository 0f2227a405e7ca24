/**
 * A headless Chromium, driven by chromedriver over WebDriver's HTTP protocol
 * (https://w3c.github.io/webdriver).
 *
 * @module
 */

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Everything is on this machine.
  "--no-proxy-server",
];
/** Milliseconds that the driver has for a command; only a failure takes them. */
const PATIENCE = 30_000;

/** Where the programs are. */
export interface Programs {
  chromium: string;
  driver: string;
}

/** Finds them, or says which is missing. */
export function findChromium(): Programs | { missing: string } {
  const chromium = find("chromium", "chromium-browser", "google-chrome");
  if (chromium === undefined) return { missing: "there is no chromium" };
  const driver = find("chromedriver");
  return driver === undefined
    ? { missing: "there is no chromedriver" }
    : { chromium, driver };
}

function find(...names: string[]): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  return names.flatMap((name) => folders.map((folder) => `${folder}/${name}`))
    .find((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false;
      }
    });
}

/** A tab of the browser. */
export class Tab {
  constructor(readonly browser: Chromium, readonly handle: string) {}

  /** Closes it, as a user does: nobody asks the page. */
  async close(): Promise<void> {
    await this.browser.show(this);
    await this.browser.command("DELETE", "window");
    await this.browser.show(this.browser.first!);
  }

  /** What it looks like, as a PNG. */
  async screenshot(): Promise<Uint8Array> {
    await this.browser.show(this);
    const base64 = await this.browser.command("GET", "screenshot") as string;
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  }
}

/** A running browser with an empty profile. */
export class Chromium implements AsyncDisposable {
  readonly #driver: Deno.ChildProcess;
  readonly #profile: string;
  readonly #url: string;
  #session = "";
  /** The tab that it began with, which keeps it running. */
  first: Tab | undefined;

  private constructor(driver: Deno.ChildProcess, profile: string, url: string) {
    this.#driver = driver;
    this.#profile = profile;
    this.#url = url;
  }

  /** Starts it. Its `Tab`s are opened by {@linkcode open}. */
  static async start({ chromium, driver }: Programs): Promise<Chromium> {
    const profile = await Deno.makeTempDir({ prefix: "qtalk_chromium_" });
    const child = new Deno.Command(driver, {
      args: ["--port=0"],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let said = "";
    let port: string | undefined;
    for await (
      const piece of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      said += piece;
      port = /started successfully on port (\d+)/.exec(said)?.[1];
      if (port !== undefined) break;
    }
    const url = `http://127.0.0.1:${port}/session`;
    const browser = new Chromium(child, profile, url);
    try {
      if (port === undefined) throw new Error(`chromedriver said "${said}"`);
      await browser.#begin(chromium);
      return browser;
    } catch (error) {
      await browser[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #begin(binary: string): Promise<void> {
    const args = [...FLAGS, `--user-data-dir=${this.#profile}`];
    const options = { "goog:chromeOptions": { binary, args } };
    const { sessionId } = await this.#send("POST", this.#url, {
      capabilities: { alwaysMatch: options },
    }) as { sessionId: string };
    this.#session = `${this.#url}/${sessionId}`;
    const handle = await this.command("GET", "window") as string;
    this.first = new Tab(this, handle);
  }

  /** Opens a page in a tab of its own. */
  async open(url: string): Promise<Tab> {
    const { handle } = await this.command("POST", "window/new", {
      type: "tab",
    }) as { handle: string };
    const tab = new Tab(this, handle);
    await this.show(tab);
    await this.command("POST", "url", { url });
    return tab;
  }

  /** Brings a tab to the front; commands are about that one. */
  async show(tab: Tab): Promise<void> {
    await this.command("POST", "window", { handle: tab.handle });
  }

  /** Sends a command of the session. */
  command(method: string, path: string, body?: unknown): Promise<unknown> {
    return this.#send(method, `${this.#session}/${path}`, body);
  }

  async #send(method: string, url: string, body?: unknown): Promise<unknown> {
    const response = await fetch(url, {
      method,
      signal: AbortSignal.timeout(PATIENCE),
      ...(method === "POST" && { body: JSON.stringify(body ?? {}) }),
    });
    const { value } = await response.json();
    if (response.ok) return value;
    throw new Error(`Cannot ${method} ${url}: ${value.message}`);
  }

  /** Ends the browser and the driver. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#session !== "") await this.#send("DELETE", this.#session);
    } finally {
      try {
        this.#driver.kill("SIGKILL");
      } catch {
        // It has ended by itself.
      }
      await this.#driver.status;
      await Deno.remove(this.#profile, { recursive: true });
    }
  }
}
