import { assert, assertEquals } from "@std/assert";
import { cli } from "../../../tests/support/cli.ts";
import { serveDescribed } from "../../../tests/support/described_service.ts";

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
    await Deno.writeTextFile(`${folder}/program.ts`, program);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--check",
        "--config",
        new URL("../../../deno.json", import.meta.url).pathname,
        `${folder}/program.ts`,
        server.addr,
      ],
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    assertEquals(code, 0, decoder.decode(stderr));
    assertEquals(decoder.decode(stdout), "1\n3 A function function\n");
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
