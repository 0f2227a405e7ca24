import { assertEquals } from "@std/assert";

const SCRIPT = new URL("with_jsr.ts", import.meta.url).pathname;

/** Starts `deno eval PROGRAM` under the script, where no JSR answers. */
function start(program: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", SCRIPT, "deno", "eval", program],
    env: { JSR_URL: "http://127.0.0.1:9/" },
    stdout: "piped",
    stderr: "null",
  }).spawn();
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`with_jsr: ${signal} goes to the command, whose exit code is passed on`, async () => {
    const child = start(`
      Deno.addSignalListener("${signal}", () => {
        console.log("told");
        Deno.exit(7);
      });
      setInterval(() => {}, 1_000);
      console.log("ready");
    `);
    let said = "";
    for await (
      const text of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      said += text;
      if (said === "ready\n") child.kill(signal);
    }
    assertEquals([said, (await child.status).code], ["ready\ntold\n", 7]);
  });

  Deno.test(`with_jsr: ${signal} ends a command that does not listen to it`, async () => {
    const child = start(`
      setInterval(() => {}, 1_000);
      console.log("ready");
    `);
    for await (const _ of child.stdout) child.kill(signal);
    const { code } = await child.status;
    assertEquals(code, signal === "SIGINT" ? 130 : 143);
  });
}

Deno.test("with_jsr: two at once serve the stand-ins, and say where", async () => {
  const program = "console.log(Deno.env.get('JSR_URL'))";
  const outputs = await Promise.all(
    [start(program), start(program)].map((child) => child.output()),
  );
  const urls = outputs.map(({ stdout }) =>
    new URL(new TextDecoder().decode(stdout))
  );
  assertEquals(urls.map(({ hostname }) => hostname), [
    "127.0.0.1",
    "127.0.0.1",
  ]);
});
