import { assert, assertEquals } from "@std/assert";

const SOURCES = ["remote_types.ts", "codec_types.ts", "contract_types.ts"].map(
  (name) => new URL(name, import.meta.url),
);
const ROOT = new URL("../../", import.meta.url);
/** A type whose kind of declaration matters. */
const JOB = "interface Job { id: number; stop(): Promise<void> }";
const DIRECTIVE = /^ *\/\/ @ts-expect-error (.*)$/;

/** What the compiler has to say about files. */
async function check(
  ...paths: string[]
): Promise<{ ok: boolean; text: string }> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--config", "deno.json", ...paths],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  return { ok: success, text: new TextDecoder().decode(stderr) };
}

Deno.test("Remote: services are typed as declared, and mistakes are refused", async () => {
  const { ok, text } = await check(...SOURCES.map(({ href }) => href));
  assert(ok, text);
});

Deno.test("Remote: each mistake is refused by itself, and nothing else is", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const expected: string[] = [];
    const copies: string[] = [];
    for (const source of SOURCES) {
      const name = source.pathname.split("/").at(-1)!;
      const lines = (await Deno.readTextFile(source)).split("\n");
      const mistakes = lines.flatMap((line, i) =>
        // A directive on line i, counted from 0, is for line i + 2, counted from 1.
        DIRECTIVE.test(line) ? [`${name}:${i + 2}`] : []
      );
      assert(mistakes.length > 20, "there are mistakes");
      expected.push(...mistakes);
      // Line numbers stay: a comment of another kind takes the directive's place.
      const bare = lines.join("\n")
        .replaceAll("@ts-expect-error", "was")
        .replaceAll('"@qtalk/qtalk"', `"${new URL("mod.ts", ROOT)}"`)
        .replace(
          '"@qtalk/qtalk/contract"',
          `"${new URL("rpc/contract/mod.ts", ROOT)}"`,
        )
        .replaceAll(
          /"@qtalk\/qtalk\/codec\/(\w+)"/g,
          (_, name) => `"${new URL(`codec/${name}/${name}.ts`, ROOT)}"`,
        );
      await Deno.writeTextFile(`${folder}/${name}`, bare);
      copies.push(`${folder}/${name}`);
    }
    const { ok, text } = await check(...copies);
    assertEquals(ok, false);
    const places = text.matchAll(/^ {4}at file:.*\/(\w+\.ts:\d+):\d+$/gm);
    const found = new Set(Array.from(places, ([, place]) => place!));
    assertEquals([...found].sort(), expected.sort());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Remote: the message for what cannot be sent says what to do", async () => {
  const copy = await Deno.makeTempFile({ suffix: ".ts" });
  const cases: [service: string, call: string, says: string][] = [
    ["f(at: Date): void", "f(new Date())", "it arrives as text: use cbor()"],
    ["f(b: Uint8Array): void", "f(new Uint8Array())", "or stream the bytes"],
    ["f(n: bigint): void", "f(1n)", "json({ bigint: true })"],
    ["f(m: Map<1, 2>): void", "f(new Map())", "Cannot send a Map with this"],
    ["f(m: Set<1>): void", "f(new Set())", "send an array of what is in it"],
    ["f(): Map<1, 2>", "f()", "the result of this method"],
    ["f(): { deep: bigint[] }", "f()", "return values that the codec carries"],
    [
      "f(g: () => number): void",
      "f(() => 1)",
      "declare the parameter as Callback",
    ],
    ["f(e: Error): void", "f(new Error())", "Cannot send an Error"],
    ["f(): { a: 1; g(): 2 }", "f().then((o) => o.g())", "only data arrives"],
    ["f(): Job", "f().then((job) => job.stop())", "with type"],
    [
      "f(job: Job): void",
      "f({ id: 1, stop: async () => {} })",
      "declare it as Callback<F>",
    ],
  ];
  const lines = cases.map(([service, call], i) =>
    `export const f${i} = (p: Peer) => p.remote<{ ${service} }>().${call};`
  );
  try {
    await Deno.writeTextFile(
      copy,
      [
        `import type { Peer } from "${new URL("mod.ts", ROOT)}"; ${JOB}`,
        ...lines,
      ].join("\n"),
    );
    const { ok, text } = await check(copy);
    assertEquals(ok, false);
    const errors = text.split(/^(?=TS\d+)/m);
    for (const [i, [service, , says]] of cases.entries()) {
      // The import is on line 1.
      const place = new RegExp(`^ {4}at file:.*:${i + 2}:\\d+$`, "m");
      const error = errors.find((error) => place.test(error)) ?? text;
      assert(error.includes(says), `${service}: ${error}`);
    }
  } finally {
    await Deno.remove(copy);
  }
});
