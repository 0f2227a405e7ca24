import { assert, assertEquals } from "@std/assert";

/** The files that a module reaches by static imports, as paths in the repo. */
async function reached(entry: string): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", entry],
    cwd: new URL("..", import.meta.url),
  }).output();
  const { modules, roots } = JSON.parse(new TextDecoder().decode(stdout));
  const edges = new Map<string, string[]>();
  for (const { specifier, dependencies = [] } of modules) {
    const statics = dependencies.filter((d: { isDynamic?: boolean }) =>
      !d.isDynamic
    );
    edges.set(
      specifier,
      statics.map((d: { code?: { specifier: string }; type?: unknown }) =>
        d.code?.specifier ?? (d.type as { specifier: string }).specifier
      ),
    );
  }
  const seen = new Set<string>();
  const visit = (specifier: string) => {
    if (seen.has(specifier)) return;
    seen.add(specifier);
    edges.get(specifier)?.forEach(visit);
  };
  roots.forEach(visit);
  assert(seen.size > 1, `deno info found nothing in ${entry}`);
  const root = new URL("..", import.meta.url).href;
  return [...seen].map((s) => s.startsWith(root) ? s.slice(root.length) : s);
}

const ALLOWED: Record<string, string[]> = {
  codec: ["codec"],
  mux: ["mux"],
  rpc: ["rpc", "mux", "codec"],
  talk: ["talk", "rpc", "mux", "codec"],
};

for (const [layer, allowed] of Object.entries(ALLOWED)) {
  Deno.test(`architecture: ${layer} imports only ${allowed.join(", ")}`, async () => {
    for (const file of await reached(`${layer}/mod.ts`)) {
      assert(allowed.includes(file.split("/")[0]!), `${layer} reaches ${file}`);
    }
  });
}

Deno.test("architecture: mod.ts reaches nothing outside the project", async () => {
  const outside = (await reached("mod.ts")).filter((file) =>
    !/^(mod\.ts|(codec|mux|rpc|talk)\/.*)$/.test(file)
  );
  assertEquals(outside, []);
});

Deno.test("architecture: mod.ts reaches no module that only Deno can run", async () => {
  const files = await reached("mod.ts");
  for (const file of files) {
    if (file === "mux/transport/child.ts" || file === "talk/dial_command.ts") {
      continue; // Their use of Deno is in what the caller hands in.
    }
    const text = await Deno.readTextFile(
      new URL(`../${file}`, import.meta.url),
    );
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
    assert(!/\bDeno\./.test(code), `${file} uses Deno`);
  }
});
