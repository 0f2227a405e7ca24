/**
 * A registry on the loopback interface that answers Deno as JSR does, for
 * machines that cannot reach JSR. Deno asks for three things: a package's
 * versions, a version's files and exports, and the files.
 *
 * @module
 */
import { filesIn } from "../support/files_in.ts";

/** A package to serve: its version, entry points and files. */
export interface Package {
  /** Such as `@std/assert`. */
  name: string;
  /** Such as `1.0.0`. */
  version: string;
  /** Entry points, as in `deno.json`: `{ ".": "./mod.ts" }`. */
  exports: Record<string, string>;
  /** Contents by path: `{ "/mod.ts": "…" }`. */
  files: Record<string, string>;
}

/** Loads the packages that stand in for `@std/…`: one file each. */
export function standIns(): Package[] {
  return ["assert", "msgpack", "streams"].map((name) => ({
    name: `@std/${name}`,
    version: "1.0.0",
    exports: { ".": "./mod.ts" },
    files: { "/mod.ts": read(new URL(`./std/${name}.ts`, import.meta.url)) },
  }));
}

/** Loads the real packages from a checkout of denoland/std. */
export function realPackages(checkout: string): Package[] {
  const names = ["assert", "bytes", "internal", "msgpack", "streams"];
  const configs = names.map((name) =>
    JSON.parse(read(`${checkout}/${name}/deno.json`))
  );
  const ranges = new Map<string, string>(
    configs.map(({ name, version }) => [name, `jsr:${name}@^${version}`]),
  );
  return configs.map(({ name, version, exports }, i) => {
    const files: Record<string, string> = {};
    const folder = `${checkout}/${names[i]}`;
    for (const path of filesIn(folder)) {
      if (!/(?<!_test)\.ts$/.test(path)) continue;
      // JSR writes the version into bare imports when a package is published.
      files[`/${path}`] = read(`${folder}/${path}`).replace(
        /(from\s+")(@std\/[a-z]+)/g,
        (whole, from, dependency) =>
          ranges.has(dependency) ? from + ranges.get(dependency) : whole,
      );
    }
    return {
      name,
      version,
      exports: typeof exports === "string" ? { ".": exports } : exports,
      files,
    };
  });
}

/** A package in a folder, from which it can be published. */
export function packageIn(folder: string): Package {
  const { name, version, exports } = JSON.parse(read(`${folder}/deno.json`));
  const files = Object.fromEntries(
    [...filesIn(folder)].map((path) => [`/${path}`, read(`${folder}/${path}`)]),
  );
  return { name, version, exports, files };
}

function read(path: string | URL): string {
  return Deno.readTextFileSync(path);
}

/** A registry that is running. */
export interface Registry extends AsyncDisposable {
  /** What to put into `JSR_URL`. */
  url: string;
}

/** Types of contents by extensions. */
const TYPES: Record<string, string> = {
  ".js": "text/javascript",
  ".json": "application/json",
  ".ts": "application/typescript",
};

/**
 * Serves packages on the loopback interface.
 *
 * Deno caches what it gets by address and never asks again. So the port comes
 * from the contents: the same contents are cached once, and others are seen.
 */
export async function serveRegistry(packages: Package[]): Promise<Registry> {
  const answers = new Map<string, string>();
  for (const { name, version, exports, files } of packages) {
    const manifest: Record<string, { size: number; checksum: string }> = {};
    for (const [path, text] of Object.entries(files)) {
      answers.set(`/${name}/${version}${path}`, text);
      const bytes = new TextEncoder().encode(text);
      const checksum = `sha256-${await sha256(bytes)}`;
      manifest[path] = { size: bytes.length, checksum };
    }
    answers.set(
      `/${name}/meta.json`,
      JSON.stringify({
        scope: name.slice(1).split("/")[0],
        name: name.split("/")[1],
        latest: version,
        versions: { [version]: {} },
      }),
    );
    answers.set(
      `/${name}/${version}_meta.json`,
      JSON.stringify({ manifest, exports, moduleGraph2: {} }),
    );
  }
  const everything = JSON.stringify([...answers]);
  const digest = await sha256(new TextEncoder().encode(everything));
  const server = serveNear(20_000 + parseInt(digest.slice(0, 6), 16) % 10_000, {
    handler(request) {
      const path = new URL(request.url).pathname;
      const answer = answers.get(path);
      if (answer === undefined) return new Response(path, { status: 404 });
      const type = TYPES[path.slice(path.lastIndexOf("."))] ?? "text/plain";
      return new Response(answer, { headers: { "content-type": type } });
    },
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Takes the first free port from `port` on: another run may be under way. */
function serveNear(
  port: number,
  { handler }: { handler: (request: Request) => Response },
): Deno.HttpServer<Deno.NetAddr> {
  for (let i = 0;; i++) {
    try {
      return Deno.serve(
        { hostname: "127.0.0.1", port: port + i, onListen() {} },
        handler,
      );
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse) || i === 100) throw error;
    }
  }
}

async function sha256(bytes: BufferSource): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(
    new Uint8Array(digest),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join("");
}
