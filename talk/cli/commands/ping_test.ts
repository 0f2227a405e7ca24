import { listen } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import { cli, startCli } from "../../../tests/support/cli.ts";
import { servePlain } from "../../../tests/support/plain_server.ts";

const QUICK = ["--interval", "0"];

Deno.test("qtalk ping: it prints each round trip, and what they were together", async () => {
  await using server = await listen("tcp://127.0.0.1:0");
  const args = ["ping", server.addr, "--count", "3", ...QUICK];
  const { code, stdout, stderr } = await cli(args);
  assertEquals([code, stderr], [0, ""]);
  const lines = stdout.trimEnd().split("\n");
  for (const n of [1, 2, 3]) {
    assert(new RegExp(`^${n}: \\d+\\.\\d\\d ms$`).test(lines[n - 1]!), stdout);
  }
  assertEquals(
    lines[3]!.replaceAll(/\d+\.\d\d/g, "T"),
    `${server.addr}: 3 sent, 3 answered, 0 % lost; min/median/max T/T/T ms`,
  );
});

Deno.test("qtalk ping: every answer counts, also that there is no such method", async () => {
  await using server = await servePlain(() => ({ error: "not found: /x" }));
  const args = ["ping", server.addr, "-c", "2", ...QUICK];
  const { code, stdout } = await cli(args);
  assertEquals(code, 0);
  assert(stdout.includes("2 sent, 2 answered, 0 % lost"), stdout);
});

Deno.test("qtalk ping: pings without an answer are lost", async () => {
  let asked = 0;
  await using server = await servePlain(() =>
    ++asked % 2 === 0 ? undefined : { value: null }
  );
  const args = ["ping", server.addr, "-c", "4", "--timeout", "1", ...QUICK];
  const { code, stdout } = await cli(args);
  assertEquals(code, 0);
  assert(stdout.includes("2: no answer\n"), stdout);
  assert(stdout.includes("4 sent, 2 answered, 50 % lost"), stdout);

  await using silent = await servePlain(() => undefined);
  const none = await cli(["ping", silent.addr, "-c", "1", "--timeout", "0.5"]);
  assertEquals(none, {
    code: 3,
    stdout: `1: no answer\n${silent.addr}: 1 sent, 0 answered, 100 % lost\n`,
    stderr: "",
  });
});

Deno.test("qtalk ping: SIGINT ends it, with what there was", async () => {
  await using server = await listen("tcp://127.0.0.1:0");
  await using running = startCli(["ping", server.addr, "-c", "1000"]);
  await running.line(/^1: /);
  const { code, stdout } = await running.end("SIGINT");
  assertEquals(code, 0);
  assert(stdout.includes(" answered, 0 % lost"), stdout);
});

Deno.test("qtalk ping: a connection that is lost is an error", async () => {
  await using server = await listen("tcp://127.0.0.1:0");
  await using running = startCli(["ping", server.addr, "-c", "1000"]);
  await running.line(/^1: /);
  await server.close();
  const { code, stdout } = await running.end();
  assertEquals(code, 3);
  assert(/\d sent, \d answered/.test(stdout), stdout);
});

Deno.test("qtalk ping: the command line is checked", async () => {
  for (const words of [[], ["a", "b"], ["tcp://127.0.0.1:1/x"]]) {
    assertEquals((await cli(["ping", ...words])).code, 2);
  }
});
