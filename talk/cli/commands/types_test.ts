import { assert, assertEquals } from "@std/assert";
import { cli } from "../../../tests/support/cli.ts";
import {
  serveCallbacks,
  serveDescribed,
} from "../../../tests/support/described_service.ts";

/** Checks and runs a program in a folder, and returns what it prints. */
async function runChecked(
  folder: string,
  program: string,
  address: string,
): Promise<string> {
  await Deno.writeTextFile(`${folder}/program.ts`, program);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--check",
      "--config",
      new URL("../../../deno.json", import.meta.url).pathname,
      `${folder}/program.ts`,
      address,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  assertEquals(code, 0, decoder.decode(stderr));
  return decoder.decode(stdout);
}

Deno.test("qtalk types: it writes types for remote(), which the compiler checks", async () => {
  await using server = await serveDescribed();
  const folder = await Deno.makeTempDir();
  try {
    const output = `${folder}/calculator.d.ts`;
    const written = await cli(["types", server.addr, "-o", output]);
    assertEquals(written, { code: 0, stdout: "", stderr: "" });
    const text = await Deno.readTextFile(output);
    assert(text.includes("export interface Calculator {"), text);

    const program = `
      import { dial } from "@qtalk/qtalk";
      import type { Calculator } from "./calculator.d.ts";
      const peer = await dial(Deno.args[0]!);
      const api = peer.remote<Calculator>();
      const sum: number = await api.math.add(1, 2);
      for await (const n of api.math.count(1)) console.log(n satisfies number);
      const upper: unknown = await api.Upper("a");
      // @ts-expect-error: a text is no number
      const wrong = () => api.math.add(1, "2");
      // @ts-expect-error: there is no such method
      const none = () => api.math.sub(1, 2);
      console.log(sum, upper, typeof wrong, typeof none);
      await peer.close();
    `;
    const stdout = await runChecked(folder, program, server.addr);
    assertEquals(stdout, "1\n3 A function function\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("qtalk types: the interface has the given name, and the group that is asked for", async () => {
  await using server = await serveDescribed();
  const args = ["types", server.addr, "math", "--name", "MyMath"];
  const { code, stdout } = await cli(args);
  assertEquals(code, 0);
  assert(stdout.includes("export interface MyMath {\n  math: {"), stdout);
  assert(!stdout.includes("Upper"));
  const bad = await cli(["types", server.addr, "--name", "a b"]);
  assertEquals(bad.code, 2);
});

Deno.test("qtalk types: functions and streams have the types that the contract gives them, which the compiler checks", async () => {
  await using server = await serveCallbacks();
  const folder = await Deno.makeTempDir();
  try {
    const output = `${folder}/tables.d.ts`;
    const written = await cli(["types", server.addr, "-o", output]);
    assertEquals(written, { code: 0, stdout: "", stderr: "" });
    const text = await Deno.readTextFile(output);
    assertEquals(
      text.slice(text.indexOf("import")),
      `import type { ByteStream, Callback } from "@qtalk/qtalk";

/** The service "tables", for remote<Tables>(). */
export interface Tables {
  /** Calls a function for each number. */
  each(arg1: number, arg2: Callback<(arg1: number, arg2?: string) => string>, arg3?: Callback<() => void>): void;
  copy(arg1: { rows: AsyncIterable<number>; rename: Callback<(arg1: number) => AsyncIterable<string>>; onEnd?: Callback<(arg1: number) => void> }): AsyncIterable<string>;
  cursor(arg1: number): { size: number; next: Callback<() => number>; open: Callback<() => ByteStream> };
  counter(): Callback<(arg1: Callback<(arg1: number) => number>) => Callback<() => number>>;
}
`,
    );
    const program = `
      import { dial } from "@qtalk/qtalk";
      import type { Tables } from "./tables.d.ts";
      const peer = await dial(Deno.args[0]!);
      const api = peer.remote<Tables>();
      const seen: number[] = [];
      await api.each(2, (n) => { seen.push(n satisfies number); return "x"; });
      await api.each(0, () => "x", () => void seen.push(7));
      const names = [];
      for await (
        const name of api.copy({
          rows: ReadableStream.from([1, 2]),
          async *rename(row) { yield "row " + row; },
          onEnd: (count) => void seen.push(count),
        })
      ) names.push(name satisfies string);
      const { size, next } = await api.cursor(3);
      using _ = next;
      const counter = await api.counter();
      const get = await counter((n) => n + 5);
      console.log(seen, names, size satisfies number, await next(), await get());
      get.release();
      counter.release();
      // @ts-expect-error: it must return a text
      const wrong = () => api.each(1, (n: number) => n);
      // @ts-expect-error: it gets a number
      const other = () => api.each(1, (s: string) => s);
      // @ts-expect-error: there must be a function
      const none = () => api.each(1);
      // @ts-expect-error: rename is missing
      const less = () => api.copy({ rows: ReadableStream.from([1]) });
      console.log(typeof wrong, typeof other, typeof none, typeof less);
      await peer.close();
    `;
    assertEquals(
      await runChecked(folder, program, server.addr),
      '[ 0, 1, 7, 2 ] [ "row 1", "row 2" ] 3 1 5\nfunction function function function\n',
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
