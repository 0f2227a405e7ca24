import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("..", import.meta.url);

/** One module imports another. */
interface Edge {
  from: string;
  to: string;
  /** By `import()`, when that line is run. */
  dynamic: boolean;
  /** Whether it imports types alone, which nothing loads. */
  types: boolean;
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
      [code?.specifier, type?.specifier].flatMap((to, i) =>
        to === undefined ? [] : {
          from: pathOf(specifier),
          to: pathOf(to),
          dynamic: isDynamic,
          types: i === 1,
        }
      )
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

const { exports, tasks } = JSON.parse(
  Deno.readTextFileSync(new URL("deno.json", ROOT)),
) as {
  exports: Record<string, string>;
  tasks: Record<string, { command: string }>;
};
/** What the command line computes the name of, or starts as a worker. */
const COMPUTED = [
  "talk/cli/certificates/make_certificate.ts",
  "talk/cli/serve/worker.ts",
];
/** The entry points, as paths. */
const ENTRIES = [
  ...Object.values(exports).map((path) => path.slice("./".length)),
  ...COMPUTED,
];
/** All imports of the library. */
const EDGES = (await Promise.all(ENTRIES.map(importsFrom))).flat();

/** The layers, each with those that it may import, itself included. */
const LAYERS: Record<string, string[]> = {
  codec: ["codec"],
  mux: ["mux"],
  rpc: ["rpc", "mux", "codec"],
  talk: ["talk", "rpc", "mux", "codec"],
};

/** The modules above all layers. */
const CORE = ["mod.ts", "start.ts"];

/** The modules beneath all layers: the other ones beside `mod.ts`, which import only each other. */
const FOUNDATION = [...Deno.readDirSync(ROOT)]
  .map(({ name }) => name)
  .filter((name) => name.endsWith(".ts") && !CORE.includes(name));

/** The modules by which a folder offers itself to others. */
const FACES = [
  "mod.ts",
  "internal.ts",
  "internal_deno.ts",
  "internal_cli.ts",
  "internal_server.ts",
];

/** Whether a module is part of the project. */
function isInside(path: string): boolean {
  return /^(?:\w+\/)*\w+\.ts$/.test(path);
}

/** The folder of a module: `mux/wire` of `mux/wire/frame.ts`. */
function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** The folders of a module, from the outermost: `mux`, then `mux/wire`. */
function foldersOf(path: string): string[] {
  const names = path.split("/").slice(0, -1);
  return names.map((_, i) => names.slice(0, i + 1).join("/"));
}

/** The folders that have a face. */
const FACED = new Set(
  Object.keys(LAYERS).flatMap((layer) => [...modulesIn(layer)])
    .filter((path) => FACES.includes(path.slice(path.lastIndexOf("/") + 1)))
    .map(folderOf),
);

/** Groups of modules that import each other, directly or by way of others. */
function circles(edges: readonly Edge[]): string[][] {
  const next = Map.groupBy(edges, ({ from }) => from);
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  // Tarjan's strongly connected components.
  const visit = (path: string) => {
    index.set(path, index.size);
    low.set(path, index.get(path)!);
    stack.push(path);
    for (const { to } of next.get(path) ?? []) {
      if (!index.has(to)) visit(to);
      if (!stack.includes(to)) continue;
      low.set(path, Math.min(low.get(path)!, low.get(to)!));
    }
    if (low.get(path) !== index.get(path)) return;
    const circle = stack.splice(stack.indexOf(path));
    if (circle.length > 1) found.push(circle.sort());
  };
  for (const path of next.keys()) if (!index.has(path)) visit(path);
  return found;
}

/** What is wrong with where an import leads; undefined if nothing is. */
function breach({ from, to }: Edge): string | undefined {
  if (!isInside(from) || !isInside(to)) return undefined;
  const [layer, target] = [from, to].map((path) => path.split("/")[0]!);
  const allowed = LAYERS[layer!];
  if (FOUNDATION.includes(to)) return undefined;
  if (FOUNDATION.includes(from)) return "the foundation imports only itself";
  if (allowed === undefined) return undefined;
  if (!allowed.includes(target!)) return `${layer} may not import ${target}`;
  // The outermost folder of `to` that `from` is not in, and that has a face.
  const entered = foldersOf(to).find((folder) =>
    !from.startsWith(`${folder}/`) && FACED.has(folder)
  );
  if (entered === undefined) return undefined;
  return FACES.some((face) => to === `${entered}/${face}`)
    ? undefined
    : `only the face of ${entered} may be imported from outside it`;
}

Deno.test("architecture: imports follow the layers and the faces of folders", () => {
  const breaches = EDGES.flatMap((edge) => {
    const why = breach(edge);
    return why === undefined ? [] : [`${edge.from} imports ${edge.to}: ${why}`];
  });
  assertEquals([...new Set(breaches)], []);
});

Deno.test("architecture: no modules import each other in a circle, types included", () => {
  assertEquals(circles(EDGES.filter(({ dynamic }) => !dynamic)), []);
});

Deno.test("architecture: a circle, a wrong direction and a hidden module would be found", () => {
  const edge = (from: string, to: string) => ({
    from,
    to,
    dynamic: false,
    types: false,
  });
  assertEquals(circles([edge("a", "b"), edge("b", "c"), edge("c", "a")]), [
    ["a", "b", "c"],
  ]);
  assertEquals(circles([edge("a", "b"), edge("a", "c"), edge("b", "c")]), []);
  assertEquals(
    breach(edge("codec/json.ts", "mux/types.ts")),
    "codec may not import mux",
  );
  assertEquals(
    breach(edge("rpc/mod.ts", "mux/wire/frame.ts")),
    "only the face of mux may be imported from outside it",
  );
  assertEquals(breach(edge("rpc/mod.ts", "mux/internal.ts")), undefined);
  assertEquals(breach(edge("mux/wire/frame.ts", "mux/errors.ts")), undefined);
  assertEquals(
    breach(edge("queue.ts", "mux/mod.ts")),
    "the foundation imports only itself",
  );
});

for (const layer of Object.keys(LAYERS)) {
  Deno.test(`architecture: every module of ${layer} is reached, so that its imports were seen`, () => {
    const seen = new Set([...ENTRIES, ...EDGES.map(({ to }) => to)]);
    assertEquals([...modulesIn(layer)].filter((path) => !seen.has(path)), []);
  });
}

Deno.test("architecture: imports that are run later are seen, too", () => {
  const later = EDGES.filter(({ dynamic }) => dynamic).map(({ to }) => to);
  assert(later.includes("mux/transport/deno/conn.ts"), later.join());
});

/** What the part of the core in a layer is imported by, all of it. */
const WHOLE: Record<string, string> = {
  mux: "mux/internal.ts",
  rpc: "rpc/internal.ts",
  talk: "talk/mod.ts",
};

Deno.test("architecture: what is loaded later imports its layer, so that bundles have few chunks", () => {
  const later = new Set(
    EDGES.flatMap(({ from, to, dynamic }) =>
      dynamic && isInside(to) && !from.startsWith("talk/cli/") ? [to] : []
    ),
  );
  const missing = [...later].filter((path) => {
    const whole = WHOLE[path.split("/")[0]!];
    return !EDGES.some(({ from, to, dynamic }) =>
      from === path && to === whole && !dynamic
    );
  });
  assertEquals(missing, []);
});

Deno.test("architecture: only the command line imports what it computes the name of", () => {
  for (const path of Object.keys(LAYERS).flatMap((l) => [...modulesIn(l)])) {
    if (path.startsWith("talk/cli/")) continue; // A user names the module.
    const computed = /\bimport\((?!\s*")/.exec(codeOf(path));
    assertEquals(computed, null, `${path} hides an import`);
  }
});

Deno.test("architecture: the executable of deno task compile has what Deno does not see", () => {
  const { command } = tasks["compile"]!;
  const paths = [...modulesIn("talk/cli")]
    .filter((path) => codeOf(path).includes("moduleUrl("))
    .flatMap((path) => [
      ...codeOf(path).matchAll(/"((?:codec|mux|rpc|talk)\/[\w/]+)"/g),
    ])
    .map(([, path]) => `${path}.ts`);
  const computed = new Set([...paths, ...COMPUTED]);
  assert(computed.size > COMPUTED.length);
  assertEquals(
    [...computed].filter((path) =>
      !command.includes(` --include ${path} `) &&
      !command.endsWith(` ${path}`)
    ),
    [],
  );
});

Deno.test("architecture: mod.ts reaches nothing outside the project when it starts", () => {
  const outside = [...staticallyReached("mod.ts", EDGES)].filter((file) =>
    !isInside(file)
  );
  assertEquals(outside, []);
});

Deno.test("architecture: mod.ts reaches no module that only Deno can run when it starts", () => {
  for (const file of staticallyReached("mod.ts", EDGES)) {
    if (
      file === "mux/transport/child.ts" || file === "talk/dial/dial_command.ts"
    ) {
      continue; // Their use of Deno is in what the caller hands in.
    }
    assert(!/\bDeno\./.test(codeOf(file)), `${file} uses Deno`);
  }
});

/**
 * What is loaded with a module, and which module named each first: as runtimes load
 * modules, those that one names before those that these name.
 *
 * @param loaded what is loaded already
 */
function namers(
  entry: string,
  loaded: Iterable<string> = [],
): Map<string, string> {
  const edges = EDGES.filter(({ dynamic, types }) => !dynamic && !types);
  const next = Map.groupBy(edges, ({ from }) => from);
  const known = new Set([entry, ...loaded]);
  const found = new Map<string, string>();
  const queue = [entry];
  for (const from of queue) {
    for (const { to } of next.get(from) ?? []) {
      if (known.has(to)) continue;
      known.add(to);
      found.set(to, from);
      queue.push(to);
    }
  }
  return found;
}

Deno.test("architecture: start.ts and the faces name all that mod.ts starts with", () => {
  const found = namers("mod.ts");
  const hidden = [...found].filter(([, by]) =>
    by !== "start.ts" && !/(?:^|\/)(?:mod|internal)\.ts$/.test(by)
  );
  assertEquals(hidden, [], "name these in start.ts");
  const superfluous = namers("start.ts").keys()
    .filter((path) => !found.has(path));
  assertEquals([...superfluous], [], "mod.ts does not load these");
  // The same for what is loaded with a listener.
  const start = "talk/listener/start.ts";
  const late = namers(start, ["mod.ts", ...found.keys()]);
  assert(late.size > 0);
  const faces = [start, "rpc/internal_server.ts"];
  assertEquals([...late].filter(([, by]) => !faces.includes(by)), []);
});

// A replay takes a side that is silent for some turns for one that waits, and to load
// a part can take longer.
Deno.test("architecture: the golden tests load first what sessions and calls load later", async () => {
  const edges = await importsFrom("tests/golden/stage.ts");
  const first = staticallyReached(
    "tests/golden/stage.ts",
    edges.filter(({ types }) => !types),
  );
  const parts = EDGES.flatMap(({ from, to, dynamic }) =>
    dynamic && /^(?:mux\/(?!transport)|rpc)\b/.test(from) ? [to] : []
  );
  const late = new Set(parts.filter((path) => !first.has(path)));
  // It is for peers that do not speak the protocol.
  assertEquals([...late], ["mux/foreign_peer.ts"]);
});

// Node may keep such a listener when the signal aborts (nodejs/node#63954).
Deno.test("architecture: the library removes its listeners itself, by no signal", () => {
  const bySignal =
    /addEventListener\((?:(?!\);)[\s\S])*?\{[^}]*\bsignal\s*[:,}]/;
  assert(bySignal.test('on.addEventListener("a", b, { signal });'));
  assert(bySignal.test('on.addEventListener("a", b, { once, signal: c });'));
  const modules = Object.keys(LAYERS).flatMap((l) => [...modulesIn(l)]);
  for (const path of [...modules, ...FOUNDATION]) {
    assertEquals(bySignal.exec(codeOf(path)), null, path);
  }
});

/** What current Deno has and Node 22, the oldest that the library runs on, has not. */
const NEWER_THAN_NODE_22 =
  /\.(?:to|setFrom)(?:Hex|Base64)\(|\.from(?:Hex|Base64)\(|\.getOrInsert|\b(?:RegExp\.escape|Promise\.try|Error\.isError|Iterator\.concat|Math\.(?:sumPrecise|f16round)|Temporal)\b|\bnew (?:(?:Async)?DisposableStack|SuppressedError|Float16Array|URLPattern)\b/;

Deno.test("architecture: the library calls nothing that Node 22 lacks", () => {
  for (
    const call of ["id.toHex()", "Uint8Array.fromHex(a)", "Promise.try(f)"]
  ) {
    assert(NEWER_THAN_NODE_22.test(call), call);
  }
  const modules = Object.keys(LAYERS).flatMap((l) => [...modulesIn(l)]);
  for (const path of [...modules, ...FOUNDATION]) {
    // The command line is a program for Deno.
    if (path.startsWith("talk/cli/")) continue;
    assertEquals(NEWER_THAN_NODE_22.exec(codeOf(path))?.[0], undefined, path);
  }
});

Deno.test("architecture: mod.ts starts with modules that engines keep in one byte a character", () => {
  // A character beyond Latin-1 doubles the memory of a whole module.
  const loaded = EDGES.filter(({ types }) => !types);
  for (const file of staticallyReached("mod.ts", loaded)) {
    const text = Deno.readTextFileSync(new URL(file, ROOT));
    const wide = /[^\0-\xff]/.exec(text)?.[0];
    assertEquals(wide, undefined, `${file} has the character ${wide}`);
  }
});
