import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("..", import.meta.url);

/** One module imports another. */
interface Edge {
  from: string;
  to: string;
  /** By `import()`, when that line is run. */
  dynamic: boolean;
}

/** What `deno info` says of a module and all that it reaches. */
interface Info {
  roots: string[];
  modules: {
    specifier: string;
    dependencies?: {
      code?: { specifier?: string };
      type?: { specifier?: string };
      isDynamic?: boolean;
    }[];
  }[];
}

/** The path in the project, or the whole specifier of what is outside. */
function pathOf(specifier: string): string {
  return specifier.startsWith(ROOT.href)
    ? specifier.slice(ROOT.href.length)
    : specifier;
}

/** All imports that start from a module; those of types are among them. */
async function importsFrom(entry: string): Promise<Edge[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", entry],
    cwd: ROOT,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as Info;
  const edges = modules.flatMap(({ specifier, dependencies = [] }) =>
    dependencies.flatMap(({ code, type, isDynamic = false }) =>
      [code?.specifier, type?.specifier]
        .filter((to) => to !== undefined)
        .map((to) => ({
          from: pathOf(specifier),
          to: pathOf(to),
          dynamic: isDynamic,
        }))
    )
  );
  assert(edges.length > 0, `deno info found nothing in ${entry}`);
  return edges;
}

/** The modules that an entry point reaches by static imports. */
function staticallyReached(entry: string, edges: Edge[]): Set<string> {
  const seen = new Set<string>();
  const visit = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const { from, to, dynamic } of edges) {
      if (from === path && !dynamic) visit(to);
    }
  };
  visit(entry);
  return seen;
}

/** The modules of a folder, without its tests. */
function* modulesIn(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* modulesIn(path);
    else if (/(?<!_test)\.ts$/.test(name)) yield path;
  }
}

/** A module without its comments. */
function codeOf(path: string): string {
  const text = Deno.readTextFileSync(new URL(path, ROOT));
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
}

const { exports } = JSON.parse(
  Deno.readTextFileSync(new URL("deno.json", ROOT)),
) as { exports: Record<string, string> };
/** The entry points, as paths. */
const ENTRIES = Object.values(exports).map((path) => path.slice("./".length));
/** All imports of the library. */
const EDGES = (await Promise.all(ENTRIES.map(importsFrom))).flat();

const ALLOWED: Record<string, string[]> = {
  codec: ["codec"],
  mux: ["mux"],
  rpc: ["rpc", "mux", "codec"],
  talk: ["talk", "rpc", "mux", "codec"],
};

for (const [layer, allowed] of Object.entries(ALLOWED)) {
  Deno.test(`architecture: ${layer} imports only ${allowed.join(", ")}, when it starts and later`, () => {
    const inProject = /^(?:\w+\/)*\w+\.ts$/;
    for (const { from, to } of EDGES) {
      if (!from.startsWith(`${layer}/`) || !inProject.test(to)) continue;
      assert(allowed.includes(to.split("/")[0]!), `${from} imports ${to}`);
    }
  });

  Deno.test(`architecture: every module of ${layer} is reached, so that its imports were seen`, () => {
    const seen = new Set([...ENTRIES, ...EDGES.map(({ to }) => to)]);
    assertEquals([...modulesIn(layer)].filter((path) => !seen.has(path)), []);
  });
}

Deno.test("architecture: imports that are run later are seen, too", () => {
  const later = EDGES.filter(({ dynamic }) => dynamic).map(({ to }) => to);
  assert(later.includes("mux/transport/tcp.ts"), later.join());
});

Deno.test("architecture: only the command line imports what it computes the name of", () => {
  for (const path of Object.keys(ALLOWED).flatMap((l) => [...modulesIn(l)])) {
    if (path.startsWith("talk/cli/")) continue; // A user names the module.
    const computed = /\bimport\((?!\s*")/.exec(codeOf(path));
    assertEquals(computed, null, `${path} hides an import`);
  }
});

Deno.test("architecture: mod.ts reaches nothing outside the project when it starts", () => {
  const outside = [...staticallyReached("mod.ts", EDGES)].filter((file) =>
    !/^(mod\.ts|(codec|mux|rpc|talk)\/.*)$/.test(file)
  );
  assertEquals(outside, []);
});

Deno.test("architecture: mod.ts reaches no module that only Deno can run when it starts", () => {
  for (const file of staticallyReached("mod.ts", EDGES)) {
    if (file === "mux/transport/child.ts" || file === "talk/dial_command.ts") {
      continue; // Their use of Deno is in what the caller hands in.
    }
    assert(!/\bDeno\./.test(codeOf(file)), `${file} uses Deno`);
  }
});
